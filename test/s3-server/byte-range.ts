import { S3Error } from './s3-error.ts';

/** [start, end) */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Reads a Range header against an object of `size` bytes. As in S3, a header that is no single byte range is ignored.
 * @returns `undefined` for the whole object
 * @throws {S3Error} InvalidRange when no byte of the object is in the range
 */
export function requestedRange(header: string | undefined, size: number): ByteRange | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '');
  const [, first = '', last = ''] = match ?? [];
  if (!match || (first === '' && last === '')) return undefined;
  const range =
    first === ''
      ? { start: Math.max(0, size - Number(last)), end: size }
      : { start: Number(first), end: last === '' ? size : Math.min(size, Number(last) + 1) };
  if (last !== '' && first !== '' && Number(last) < Number(first)) return undefined;
  if (range.start >= range.end) {
    throw new S3Error('InvalidRange', { RangeRequested: header ?? '', ActualObjectSize: size });
  }
  return range;
}

/**
 * Reads x-amz-copy-source-range, which unlike Range has to be complete and within the source.
 * @throws {S3Error} InvalidArgument
 */
export function copyRange(header: string, size: number): ByteRange {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(header.trim()) ?? [];
  const argument = { ArgumentName: 'x-amz-copy-source-range', ArgumentValue: header };
  if (first === undefined || last === undefined || Number(last) < Number(first)) {
    const message =
      'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the ' +
      'zero-based offsets of the first and last bytes to copy';
    throw new S3Error('InvalidArgument', argument, message);
  }
  if (Number(last) >= size) {
    throw new S3Error(
      'InvalidArgument',
      argument,
      `Range specified is not valid for source object of size: ${String(size)}`,
    );
  }
  return { start: Number(first), end: Number(last) + 1 };
}
