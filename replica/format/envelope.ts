import { crc32 } from 'zlib';
import { corrupt, SeawallError } from '../terms/errors.ts';

/**
 * Checks the envelope of a header or footer: signature (first 8 bytes), version (at 8) and CRC-32 (last 4 bytes, of
 * everything before). Throws `corrupt` or, for another version, `unsupported`; codes begin with `name`.
 */
export function checkEnvelope(payload: Buffer, signature: Buffer, version: number, name: string): void {
  if (!payload.subarray(0, 8).equals(signature)) {
    throw corrupt(`${name}_SIGNATURE`, `not a ${name.toLowerCase()} of Seawall's`);
  }
  if (crc32(payload.subarray(0, -4)) !== payload.readUInt32LE(payload.length - 4)) {
    throw corrupt(`${name}_HEADER_CRC`, 'the header does not match its CRC');
  }
  const found = payload.readUInt16LE(8);
  if (found !== version) {
    throw new SeawallError(
      'unsupported',
      `${name}_VERSION`,
      `written in format version ${found}; this release reads version ${version}. Use a newer release.`,
      { actual: found, expected: version },
    );
  }
}

/** A 64-bit field as a number. Throws `corrupt` (`code`) if a number cannot hold it exactly. */
export function safeNumber(value: bigint, code: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw corrupt(code, `impossible value ${value}`);
  return Number(value);
}
