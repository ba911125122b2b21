import { crc32 } from 'zlib';
import { corrupt, SeawallError } from '../terms/errors.ts';

/** Signature, version and CRC of one of our payloads. */
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

export function safeNumber(value: bigint, code: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw corrupt(code, `impossible value ${value}`);
  return Number(value);
}
