/**
 * The keys below a database's prefix in a bucket (Litestream 0.3's layout, and a folder of Seawall's own):
 *
 *     generations/<16 hex>/snapshots/<8 hex index>.snapshot.lz4
 *     generations/<16 hex>/wal/<8 hex index>_<8 hex offset>.wal.lz4
 *     seawall/…
 *
 * `.zst` replaces `.lz4` if the codec is zstd.
 */
import { hex8, isGeneration } from './position.ts';

/** How objects are compressed: `lz4`, which Litestream reads, too, or `zstd`, which is smaller. */
export type CodecName = 'lz4' | 'zstd';

export const GENERATIONS = 'generations/';
/** Seawall's own folder: claim, head, floors, reports, evidence of drills. Litestream never reads it. */
export const CONTROL = 'seawall/';
export const CLAIM_KEY = `${CONTROL}claim`;
export const HEAD_KEY = `${CONTROL}head`;
export const FLOORS_KEY = `${CONTROL}floors`;
export const REPORTS = `${CONTROL}reports/`;
export const DRILLS = `${CONTROL}drills/`;

const EXTENSIONS: Readonly<Record<CodecName, string>> = { lz4: 'lz4', zstd: 'zst' };
const SNAPSHOT = /^generations\/([0-9a-f]{16})\/snapshots\/([0-9a-f]{8})\.snapshot\.(lz4|zst)$/;
const SEGMENT = /^generations\/([0-9a-f]{16})\/wal\/([0-9a-f]{8})_([0-9a-f]{8,11})\.wal\.(lz4|zst)$/;

export interface SnapshotName {
  readonly kind: 'snapshot';
  readonly generation: string;
  readonly index: number;
  readonly codec: CodecName;
}

export interface SegmentName {
  readonly kind: 'segment';
  readonly generation: string;
  readonly index: number;
  readonly offset: number;
  readonly codec: CodecName;
}

/** Of all keys of one generation. */
export function generationPrefix(generation: string): string {
  if (!isGeneration(generation)) throw new RangeError(`not a generation: ${JSON.stringify(generation)}`);
  return `${GENERATIONS}${generation}/`;
}

/** Of the keys of its snapshots. */
export function snapshotsPrefix(generation: string): string {
  return `${generationPrefix(generation)}snapshots/`;
}

/** Of the keys of its segments. */
export function walPrefix(generation: string): string {
  return `${generationPrefix(generation)}wal/`;
}

/** The key of a snapshot. @throws RangeError for an impossible generation or index */
export function snapshotKey(generation: string, index: number, codec: CodecName): string {
  return `${snapshotsPrefix(generation)}${hex8(index)}.snapshot.${EXTENSIONS[codec]}`;
}

/** The key of a WAL segment; `offset` in bytes. @throws RangeError for an impossible generation, index or offset */
export function segmentKey(generation: string, index: number, offset: number, codec: CodecName): string {
  return `${walPrefix(generation)}${hex8(index)}_${hex8(offset)}.wal.${EXTENSIONS[codec]}`;
}

/** The snapshot or segment that a key below a database's prefix names; undefined for any other key. */
export function parseKey(key: string): SnapshotName | SegmentName | undefined {
  const snapshot = SNAPSHOT.exec(key);
  if (snapshot !== null) {
    const [, generation = '', index = '', extension = ''] = snapshot;
    return { kind: 'snapshot', generation, index: Number.parseInt(index, 16), codec: codecOf(extension) };
  }
  const segment = SEGMENT.exec(key);
  if (segment !== null) {
    const [, generation = '', index = '', offset = '', extension = ''] = segment;
    return {
      kind: 'segment',
      generation,
      index: Number.parseInt(index, 16),
      offset: Number.parseInt(offset, 16),
      codec: codecOf(extension),
    };
  }
  return undefined;
}

function codecOf(extension: string): CodecName {
  return extension === 'zst' ? 'zstd' : 'lz4';
}
