/**
 * How many bytes a compaction moves, compared with the database's size, and how fast it is, compared with the codec
 * alone.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { codec as codecNamed } from '../replica/format/codec.ts';
import { openStore } from '../replica/store/open.ts';
import type { Store } from '../replica/store/store.ts';
import { pageLike, writeDirtyReplica } from '../test/history/dirty-replica.ts';
import { Seeded } from '../test/history/seeded.ts';
import type { Compacted } from './compact-once.ts';
import { figure, ratios, type Bench, type Context, type Figure } from './figure.ts';
import { between, S3Process } from './s3.ts';

export const compaction: Bench = { name: 'compaction', run };

const MIB = 1 << 20;
const PAGES_PER_BLOCK = 256;
/** As many pages as half of the smallest database has, in the middle of each database. */
const PLOTTED_BLOCKS = 32;

async function* run(context: Context): AsyncGenerator<Figure> {
  process.env['AWS_ACCESS_KEY_ID'] ??= 'bench';
  process.env['AWS_SECRET_ACCESS_KEY'] ??= 'bench-secret';
  await using server = await S3Process.start(context.folder);

  // The same number of changed pages for all sizes: one in each block, and page 1, which every commit may change.
  const sizes = context.full ? [64, 256, 1024, 8192] : [64, 256, 1024];
  for (const mebibytes of sizes) {
    const { moved, peak } = await compacted(server, mebibytes, blocksFrom(mebibytes / 2, PLOTTED_BLOCKS));
    const name = `compaction-${mebibytes}-mib`;
    yield figure(
      `${name}-moved`,
      `bytes a compaction of ${mebibytes} MiB moves, ${PLOTTED_BLOCKS} blocks side by side changed`,
      'MiB',
      [moved / MIB],
    );
    yield figure(`${name}-peak`, `highest resident memory of a compaction of ${mebibytes} MiB`, 'MiB', [peak / MIB], {
      atMost: 200,
    });
  }
  const ten = await compacted(server, 1024, blocksFrom(512, 10));
  yield figure('compaction-moved', 'bytes moved ÷ database of 1 GiB, 1 % of its blocks changed, side by side', 'ratio', [ten.moved / (1024 * MIB)], { atMost: 0.03 }); // prettier-ignore
  const apart = await compacted(
    server,
    1024,
    Array.from({ length: 10 }, (_, i) => 50 + i * 100),
  );
  yield figure('compaction-moved-scattered', 'bytes moved ÷ database of 1 GiB, 1 % of its blocks changed, scattered', 'ratio', [apart.moved / (1024 * MIB)]); // prettier-ignore
  // Ten blocks and the first, which holds the new header. Each is in a part of its own, and the other bytes of the part
  // must be fetched or copied.
  const floor = 11 * 2 * 5 * MIB;
  yield figure('compaction-scattered-floor', 'the same by parts of at least 5 MiB, fetched and sent, whoever makes them', 'ratio', [floor / (1024 * MIB)]); // prettier-ignore

  const all = await timed(context, context.full ? 1024 : 256);
  yield figure('compaction-speed', 'compaction with every block changed, raw', 'MB/s', all.speeds);
  yield figure('compaction-per-codec', 'compaction with every block changed ÷ decoding and encoding the same blocks on one thread', 'ratio', ratios(all.speeds, all.limits), { atLeast: 0.6 }); // prettier-ignore
}

function blocksFrom(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

/** The first page of each block, in a WAL; page 1 always. */
function pagesOf(blocks: readonly number[]): number[] {
  return [...new Set([1, ...blocks.map((block) => block * PAGES_PER_BLOCK + 1)])];
}

/** All bytes moved: listing, WAL, hashes and blocks. */
async function compacted(
  server: S3Process,
  mebibytes: number,
  blocks: readonly number[],
): Promise<{ readonly moved: number; readonly peak: number }> {
  const url = server.url(`compaction-${mebibytes}-${blocks.length}-${blocks.at(-1)}`);
  const store = await openStore(url);
  await writeDirtyReplica(store, { size: mebibytes * MIB, dirty: pagesOf(blocks) });
  const before = await server.counted();
  const { peak } = await once(url);
  const { bytesIn, bytesOut } = between(before, await server.counted());
  await store.delete(await keysOf(store));
  await store.close();
  return { moved: bytesIn + bytesOut, peak };
}

async function once(url: string): Promise<Compacted> {
  const script = join(import.meta.dirname, 'compact-once.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [script, url]);
  return JSON.parse(stdout) as Compacted;
}

/** In a folder, so without the network, alternating with the codec alone. MB/s. */
async function timed(
  { folder, pairs }: Context,
  mebibytes: number,
): Promise<{ readonly speeds: number[]; readonly limits: number[] }> {
  const speeds: number[] = [];
  const limits: number[] = [];
  const megabytes = (mebibytes * MIB) / 1e6;
  const url = mkdtempSync(join(folder, 'replica-'));
  const store = await openStore(url);
  await writeDirtyReplica(store, { size: mebibytes * MIB, dirty: pagesOf(blocksFrom(0, mebibytes)) });
  const written = new Set(await keysOf(store));
  for (let pair = 0; pair < pairs; pair++) {
    speeds.push(megabytes / ((await once(url)).milliseconds / 1000));
    await store.delete((await keysOf(store)).filter((key) => !written.has(key)));
    limits.push(megabytes / codecSeconds(mebibytes));
  }
  await store.close();
  rmSync(url, { recursive: true });
  return { speeds, limits };
}

async function keysOf(store: Store): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list('')) keys.push(key);
  return keys;
}

function codecSeconds(blocks: number): number {
  const random = new Seeded(blocks);
  const codec = codecNamed('lz4');
  const raw = Buffer.concat(Array.from({ length: PAGES_PER_BLOCK }, () => pageLike(random, MIB / PAGES_PER_BLOCK)));
  let stored = codec.encodeBlock(raw);
  const began = performance.now();
  for (let i = 0; i < blocks; i++) stored = codec.encodeBlock(codec.decodeBlock(stored, MIB));
  return (performance.now() - began) / 1000;
}
