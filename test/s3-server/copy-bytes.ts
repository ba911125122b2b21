import { createHash } from 'node:crypto';
import type { BodyStore, StoredBody } from './body-store.ts';
import type { ByteRange } from './byte-range.ts';
import { startChecksum, type ChecksumAlgorithm } from './checksum.ts';

export interface CopySource {
  readonly body: StoredBody;
  /** Default: the whole body. */
  readonly range?: ByteRange;
}

/**
 * Writes the bytes of one or more bodies, one after the other, into a new one, in bounded memory.
 * @param hashes which digests of the result are wanted; because hashing some GiB takes time
 */
export async function copyBytes(
  bodies: BodyStore,
  sources: readonly CopySource[],
  hashes: { readonly md5: boolean; readonly checksum: ChecksumAlgorithm | undefined },
): Promise<{ readonly body: StoredBody; readonly md5: string; readonly checksum: string | undefined }> {
  const md5 = hashes.md5 ? createHash('md5') : undefined;
  const running = hashes.checksum && startChecksum(hashes.checksum);
  const writer = bodies.create();
  try {
    for (const { body, range } of sources) {
      const { start, end } = range ?? { start: 0, end: body.size };
      for await (const chunk of bodies.open(body).stream(start, end) as AsyncIterable<Buffer>) {
        md5?.update(chunk);
        running?.update(chunk);
        await writer.write(chunk);
      }
    }
    const body = await writer.finish();
    return { body, md5: md5?.digest('hex') ?? '', checksum: running?.digest().toString('base64') };
  } catch (error) {
    await writer.discard();
    throw error;
  }
}
