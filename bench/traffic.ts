/** How many bytes and requests the same commits take, and what the requests cost in a month. */
import type { RequestCounters } from '../test/s3-server/index.ts';
import { figure, ratios, type Bench, type Context, type Figure } from './figure.ts';
import { litestreams } from './litestream.ts';
import { nameOf, runWriter, type Way } from './run-writer.ts';
import { between, S3Process } from './s3.ts';

export const traffic: Bench = { name: 'traffic', run };

/**
 * S3 Standard in us-east-1, dollars a request: PUT, COPY, POST and LIST cost one price, GET and HEAD another, DELETE
 * nothing.
 */
const WRITE_PRICE = 0.005 / 1000;
const READ_PRICE = 0.0004 / 1000;
const READS = new Set(['GetObject', 'HeadObject', 'HeadBucket']);
const FREE = new Set(['DeleteObject', 'DeleteObjects', 'AbortMultipartUpload', 'bytesIn', 'bytesOut']);
const MONTH = 30 * 86_400_000;

async function* run(context: Context): AsyncGenerator<Figure> {
  await using server = await S3Process.start(context.folder);
  const ways: Way[] = ['seawall', ...litestreams()];

  const sent = new Map<string, number[]>();
  for (let round = 0; round < context.pairs; round++) {
    for (const way of ways) {
      const { bytesIn } = await count(context, server, way, { measure: 5000, rate: 100 });
      sent.set(nameOf(way), [...(sent.get(nameOf(way)) ?? []), bytesIn]);
    }
  }
  const ours = sent.get('seawall')!;
  yield figure('sent', 'bytes sent for 500 commits at 100/s', 'bytes', ours);
  for (const [way, theirs] of sent) {
    if (way === 'seawall') continue;
    yield figure(`sent-per-${way}`, `bytes sent for the same commits ÷ ${way}`, 'ratio', ratios(ours, theirs), {
      atMost: 1,
    });
  }

  const costs = new Map<string, number>();
  const measure = context.full ? 600_000 : 45_000;
  for (const way of ways) {
    const counted = await count(context, server, way, { measure, rate: 1 });
    costs.set(nameOf(way), dollars(counted) * (MONTH / (measure + SETTLE)));
    context.say(`${nameOf(way)}: ${requests(counted)} in ${measure / 1000} s at one commit a second`);
  }
  for (const [way, cost] of costs) {
    yield figure(`month-${way}`, `S3 requests of a database-month at one commit a second, ${way}`, 'dollars', [cost]);
    if (way === 'seawall') continue;
    yield figure(`month-per-${way}`, `requests of a database-month ÷ ${way}`, 'ratio', [costs.get('seawall')! / cost], {
      atMost: 1,
    });
  }
}

/** Before the first and after the last commit counted, for uploads under way to arrive. */
const SETTLE = 2500;

async function count(
  { folder }: Context,
  server: S3Process,
  way: Way,
  work: { readonly measure: number; readonly rate: number },
): Promise<RequestCounters> {
  let before: RequestCounters | undefined;
  let after: RequestCounters | undefined;
  await runWriter(folder, server, way, { ...work, warm: 3000, settle: SETTLE }, async (moment) => {
    const counted = await server.counted();
    if (moment === 'begin') before = counted;
    else after = counted;
  });
  if (before === undefined || after === undefined) throw new Error('the writer told no moments');
  return between(before, after);
}

function dollars(counters: RequestCounters): number {
  let sum = 0;
  for (const [name, n] of Object.entries(counters)) {
    if (!FREE.has(name)) sum += n * (READS.has(name) ? READ_PRICE : WRITE_PRICE);
  }
  return sum;
}

function requests(counters: RequestCounters): string {
  return Object.entries(counters)
    .filter(([name, n]) => n > 0 && !name.startsWith('bytes'))
    .map(([name, n]) => `${n} ${name}`)
    .join(', ');
}
