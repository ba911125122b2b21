// CRC-32C and CRC-64/NVME, which node:zlib does not have (it has CRC-32). Both are reflected, start from all ones and
// end inverted; the check values of "123456789" are e3069283 and ae8b14860a799888.

const CRC32C_POLYNOMIAL = 0x82f63b78;
const CRC64NVME_POLYNOMIAL = 0x9a6c9329ac4bc9b5n;

let crc32cTable: Int32Array | undefined;
let crc64Tables: { high: Int32Array; low: Int32Array } | undefined;

function buildCrc32cTable(): Int32Array {
  const table = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ CRC32C_POLYNOMIAL : value >>> 1;
    table[byte] = value;
  }
  return table;
}

function buildCrc64Tables(): { high: Int32Array; low: Int32Array } {
  const high = new Int32Array(256);
  const low = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let value = BigInt(byte);
    for (let bit = 0; bit < 8; bit++) value = value & 1n ? (value >> 1n) ^ CRC64NVME_POLYNOMIAL : value >> 1n;
    high[byte] = Number(value >> 32n) | 0;
    low[byte] = Number(value & 0xffffffffn) | 0;
  }
  return { high, low };
}

export class Crc32c {
  #state = -1;

  update(chunk: Uint8Array): void {
    const table = (crc32cTable ??= buildCrc32cTable());
    let state = this.#state;
    for (const byte of chunk) state = (state >>> 8) ^ table[(state ^ byte) & 0xff]!;
    this.#state = state;
  }

  digest(): Buffer {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(~this.#state);
    return bytes;
  }
}

/** Kept as two 32-bit halves, because BigInt arithmetic per byte would be some hundred times slower. */
export class Crc64Nvme {
  #high = -1;
  #low = -1;

  update(chunk: Uint8Array): void {
    const tables = (crc64Tables ??= buildCrc64Tables());
    let high = this.#high;
    let low = this.#low;
    for (const byte of chunk) {
      const index = (low ^ byte) & 0xff;
      low = ((low >>> 8) | (high << 24)) ^ tables.low[index]!;
      high = (high >>> 8) ^ tables.high[index]!;
    }
    this.#high = high;
    this.#low = low;
  }

  digest(): Buffer {
    const bytes = Buffer.alloc(8);
    bytes.writeInt32BE(~this.#high, 0);
    bytes.writeInt32BE(~this.#low, 4);
    return bytes;
  }
}
