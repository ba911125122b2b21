/** What shipping costs the app: writes a second, and the latency of a commit, with and without. */
import { figure, ratios, type Bench, type Context, type Figure } from './figure.ts';
import { litestreams } from './litestream.ts';
import { nameOf, runWriter, type Way } from './run-writer.ts';
import { S3Process } from './s3.ts';
import type { Written } from './writer.ts';

export const writes: Bench = { name: 'writes', run };

/**
 * Commits a second of an app that is busy but not saturated; its latencies are those that a user of the app notices.
 */
const PACED = 200;
const WAYS: readonly Way[] = ['none', 'seawall', ...litestreams()];

async function* run(context: Context): AsyncGenerator<Figure> {
  await using server = await S3Process.start(context.folder);
  const measure = context.full ? 10_000 : 3000;
  const flatOut = await rounds(context, server, [...WAYS, 'bystander'], { warm: 1500, measure });
  const plain = flatOut.get('none')!;
  for (const [way, written] of flatOut) {
    if (way === 'none') continue;
    const speed = ratios(written.map(perSecond), plain.map(perSecond));
    const ours = way === 'seawall';
    yield figure(
      `writes-${way}`,
      way === 'bystander'
        ? 'writes/s at full speed beside a process that moves a read transaction each second and packs, and ships nothing ÷ without'
        : `writes/s at full speed with ${way} ÷ without`,
      'ratio',
      speed,
      ours ? { atLeast: 0.9 } : undefined,
    );
  }
  for (const [way, written] of flatOut) {
    yield figure(`writes-longest-${way}`, `longest commit at full speed with ${way}`, 'ms', written.map(({ longest }) => longest)); // prettier-ignore
  }
  const best = litestreams().map(({ name }) => flatOut.get(name)!.map(perSecond));
  if (best.length > 0) {
    const theirs = plain.map((_, i) => Math.max(...best.map((each) => each[i]!)));
    const ours = flatOut.get('seawall')!.map(perSecond);
    yield figure('writes-per-litestream', "writes/s at full speed with seawall ÷ with the faster Litestream", 'ratio', ratios(ours, theirs), { atLeast: 1 }); // prettier-ignore
  }
  const paced = await rounds(context, server, WAYS, { warm: 1500, measure: 2 * measure, rate: PACED });
  const calm = paced.get('none')!;
  for (const [way, written] of paced) {
    const ours = way === 'seawall';
    if (way !== 'none') {
      const tail = ratios(written.map(p99), calm.map(p99));
      yield figure(
        `commit-p99-${way}`,
        `p99 of a commit at ${PACED}/s with ${way} ÷ without`,
        'ratio',
        tail,
        ours ? { atMost: 1.3 } : undefined,
      );
    }
    for (const p of Object.keys(written[0]!.percentiles)) {
      const samples = written.map(({ percentiles }) => percentiles[p]!);
      yield figure(`commit-ms-${way}-${p}`, `p${p} of a commit at ${PACED}/s with ${way}`, 'ms', samples);
    }
    const stalls = written.map(({ longest }) => longest);
    yield figure(
      `commit-longest-${way}`,
      `longest commit at ${PACED}/s with ${way}`,
      'ms',
      stalls,
      ours ? { atMost: 50 } : undefined,
    );
  }
}

const perSecond = (written: Written): number => written.perSecond;
const p99 = (written: Written): number => written.p99;

/** Each way once in every round; the order is reversed in every other round. */
async function rounds(
  { folder, pairs, say }: Context,
  server: S3Process,
  ways: readonly Way[],
  work: Parameters<typeof runWriter>[3],
): Promise<Map<string, Written[]>> {
  const results = new Map<string, Written[]>(ways.map((way) => [nameOf(way), []]));
  for (let round = 0; round < pairs; round++) {
    for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
      const written = await runWriter(folder, server, way, work);
      results.get(nameOf(way))!.push(written);
      say(
        `${nameOf(way)}: ${written.perSecond.toFixed(0)} commits/s, p99 ${written.p99.toFixed(2)} ms, longest ${written.longest.toFixed(1)} ms`,
      );
    }
  }
  return results;
}
