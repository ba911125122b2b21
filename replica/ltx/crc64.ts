/**
 * CRC-64/ISO (polynomial x⁶⁴ + x⁴ + x³ + x + 1, reflected, all ones at the start and inverted at the end), in halves of
 * 32 bits. The polynomial has few low terms, so no tables are needed: a word that leaves the register is XORed in again,
 * shifted by 0, 1, 3 and 4.
 */
export class Crc64 {
  #high = -1;
  #low = -1;

  update(bytes: Uint8Array): this {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let high = this.#high;
    let low = this.#low;
    let at = 0;
    for (const words = bytes.length & ~3; at < words; at += 4) {
      const q = low ^ view.getInt32(at, true);
      low = high ^ (q << 31) ^ (q << 29) ^ (q << 28);
      high = q ^ (q >>> 1) ^ (q >>> 3) ^ (q >>> 4);
    }
    for (; at < bytes.length; at++) {
      const q = (low ^ bytes[at]!) << 24;
      low = (low >>> 8) | (high << 24);
      high = (high >>> 8) ^ q ^ (q >>> 1) ^ (q >>> 3) ^ (q >>> 4);
    }
    this.#high = high;
    this.#low = low;
    return this;
  }

  digest(): bigint {
    return (BigInt(~this.#high >>> 0) << 32n) | BigInt(~this.#low >>> 0);
  }
}
