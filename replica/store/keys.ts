/**
 * Keys, prefixes and ranges that every backend accepts, checked in one place so that all backends refuse the same ones.
 */
import { Buffer } from 'node:buffer';
import type { ByteRange, PartLimits } from './store.ts';

/** S3's limit, bytes of UTF-8. */
const MAX_KEY_BYTES = 1024;

/** @throws RangeError for a key that could leave the store's root, or that S3 or a file system could not hold. */
export function assertKey(key: string): void {
  const flaw = key === '' ? 'it is empty' : (flawOf(key) ?? componentFlaw(key.split('/')));
  if (flaw !== undefined) throw new RangeError(`not a key: ${JSON.stringify(key)}: ${flaw}`);
}

/** A prefix may be empty, end with a slash, or stop in the middle of a component. */
export function assertPrefix(prefix: string): void {
  const flaw = flawOf(prefix) ?? componentFlaw(prefix.split('/').slice(0, -1));
  if (flaw !== undefined) throw new RangeError(`not a prefix: ${JSON.stringify(prefix)}: ${flaw}`);
}

/** The prefix of `folders()`: empty, or ending with a slash. */
export function assertFolder(prefix: string): void {
  if (prefix !== '' && !prefix.endsWith('/')) {
    throw new RangeError(`not a folder: ${JSON.stringify(prefix)}: it must be empty or end with "/"`);
  }
  assertPrefix(prefix);
}

function flawOf(text: string): string | undefined {
  if (text.includes('\0')) return 'it has a NUL';
  if (!text.isWellFormed()) return 'it is not well-formed Unicode';
  const bytes = Buffer.byteLength(text);
  return bytes > MAX_KEY_BYTES ? `it has ${bytes} bytes, more than ${MAX_KEY_BYTES}` : undefined;
}

function componentFlaw(components: readonly string[]): string | undefined {
  for (const component of components) {
    if (component === '') return 'a component is empty (a leading, trailing or double "/")';
    if (component === '.' || component === '..') return `a component is "${component}"`;
  }
  return undefined;
}

/** Orders keys by their UTF-8 bytes. JavaScript's own order differs where surrogates meet U+E000 to U+FFFF. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return codePointRank(x) - codePointRank(y);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above every other UTF-16 unit. */
function codePointRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** @throws RangeError unless offsets and lengths are whole, non-negative numbers. */
export function assertRange(range: ByteRange): void {
  const parts = 'suffix' in range ? { suffix: range.suffix } : { offset: range.offset, length: range.length };
  for (const [name, value] of Object.entries(parts)) {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${name} must be a whole number, got ${value}`);
  }
}

/** @throws RangeError for an empty range, which S3 cannot copy, and for what `assertRange` refuses. */
export function assertCopyRange(range: { readonly offset: number; readonly length: number }): void {
  assertRange(range);
  if (range.length === 0) throw new RangeError('length must be at least 1 to copy, got 0');
}

/** The bytes of a range in an object of `size` bytes; undefined if it reaches past the end. */
export function placeRange(range: ByteRange | undefined, size: number): { start: number; length: number } | undefined {
  if (range === undefined) return { start: 0, length: size };
  if ('suffix' in range) {
    const length = Math.min(range.suffix, size);
    return { start: size - length, length };
  }
  return range.offset + range.length <= size ? { start: range.offset, length: range.length } : undefined;
}

export function describeRange(range: ByteRange): string {
  return 'suffix' in range ? `the last ${range.suffix} bytes` : `bytes ${range.offset}+${range.length}`;
}

/** @throws RangeError for a part number or size outside the limits. */
export function assertPart(part: number, at: number, bytes: number, limits: PartLimits): void {
  if (!Number.isSafeInteger(part) || part < 1 || part > limits.maxParts) {
    throw new RangeError(`part must be a whole number from 1 to ${limits.maxParts}, got ${part}`);
  }
  if (!Number.isSafeInteger(at) || at < 0) throw new RangeError(`part ${part} cannot begin at byte ${at}`);
  if (bytes > limits.maxPart) {
    throw new RangeError(`part ${part} has ${bytes} bytes, more than the largest, ${limits.maxPart}`);
  }
}
