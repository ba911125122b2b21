/** Compares database files. A difference is reported by page, because a diff of megabytes would take all memory. */
import assert from 'node:assert/strict';

export function assertSameBytes(actual: Buffer, expected: Buffer, why = ''): void {
  if (actual.equals(expected)) return;
  const size = expected.readUInt16BE(16) === 1 ? 65536 : expected.readUInt16BE(16);
  const pages: number[] = [];
  for (let at = 0; at < Math.max(actual.length, expected.length); at += size) {
    if (!actual.subarray(at, at + size).equals(expected.subarray(at, at + size))) pages.push(at / size + 1);
  }
  assert.fail(
    `${actual.length} bytes instead of ${expected.length}; ${pages.length} pages of ${size} differ: ` +
      `${pages.slice(0, 10).join(', ')}${pages.length > 10 ? ' …' : ''}${why === '' ? '' : ` (${why})`}`,
  );
}
