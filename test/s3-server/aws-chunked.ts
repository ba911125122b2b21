import { S3Error } from './s3-error.ts';

const MAX_LINE = 8192;

/**
 * Removes the framing of an `aws-chunked` body (STREAMING-UNSIGNED-PAYLOAD-TRAILER and the signed kinds):
 *
 *     hex-size[;chunk-signature=…] CRLF bytes CRLF  …  0[;…] CRLF  [name:value CRLF]*  CRLF
 *
 * Yields the payload as it arrives and puts the trailing headers, by lower-case name, into `trailers`. Signatures are
 * not verified.
 * @throws {S3Error} IncompleteBody if the framing is broken or ends early
 */
export async function* decodeAwsChunked(
  wire: AsyncIterable<Buffer>,
  trailers: Map<string, string>,
): AsyncGenerator<Buffer, void, undefined> {
  let state: 'size' | 'bytes' | 'after-bytes' | 'trailers' | 'end' = 'size';
  let left = 0;
  let line = '';
  for await (const chunk of wire) {
    let at = 0;
    while (at < chunk.length) {
      if (state === 'end') throw new S3Error('IncompleteBody', {}, 'Bytes follow the end of the chunked body.');
      if (state === 'bytes') {
        const end = Math.min(chunk.length, at + left);
        yield chunk.subarray(at, end);
        left -= end - at;
        at = end;
        if (left === 0) state = 'after-bytes';
        continue;
      }
      const newline = chunk.indexOf(10, at);
      line += chunk.toString('latin1', at, newline < 0 ? chunk.length : newline);
      if (line.length > MAX_LINE) throw new S3Error('IncompleteBody', {}, 'A line of the chunked body is too long.');
      at = newline < 0 ? chunk.length : newline + 1;
      if (newline < 0) continue;
      const text = line.replace(/\r$/, '');
      line = '';
      if (state === 'after-bytes') {
        if (text !== '') throw new S3Error('IncompleteBody', {}, 'A chunk is longer than it says.');
        state = 'size';
      } else if (state === 'size') {
        const size = /^([0-9a-fA-F]{1,12})(;|$)/.exec(text)?.[1];
        if (size === undefined) throw new S3Error('IncompleteBody', {}, 'A chunk does not start with its size.');
        left = parseInt(size, 16);
        state = left === 0 ? 'trailers' : 'bytes';
      } else if (text === '') {
        state = 'end';
      } else {
        const colon = text.indexOf(':');
        trailers.set(text.slice(0, colon).trim().toLowerCase(), text.slice(colon + 1).trim());
      }
    }
  }
  // Some clients leave out the empty line after the trailers. Only the last chunk of size zero must not be missing.
  if (state !== 'end' && state !== 'trailers') throw new S3Error('IncompleteBody');
}
