/**
 * `npm run bench`: every figure, compared with a reference measured in the same run.
 *
 *     npm run bench                      half an hour
 *     npm run bench -- --full            longer runs, larger databases
 *     npm run bench -- --only writes     one of them; may be given several times
 *     npm run bench -- --json            every figure by name
 *     npm run bench -- --write           and the table and plots of docs/BENCHMARKS.md; those not run stay as they were
 *
 * LITESTREAM_03 and LITESTREAM_05 name binaries to measure against.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { barrier } from './barrier.ts';
import { compaction } from './compaction.ts';
import type { Bench, Figure } from './figure.ts';
import { litestreams } from './litestream.ts';
import { manyDatabases } from './many-databases.ts';
import { asText, writeReport, type Measured } from './report.ts';
import { restores } from './restore.ts';
import { traffic } from './traffic.ts';
import { writes } from './writes.ts';

const BENCHES: readonly Bench[] = [writes, barrier, traffic, compaction, restores, manyDatabases];

const { values } = parseArgs({
  options: {
    full: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    pairs: { type: 'string' },
  },
});
const unknown = values.only?.find((name) => !BENCHES.some((bench) => bench.name === name));
if (unknown !== undefined) {
  process.stderr.write(`--only ${unknown}: there are ${BENCHES.map(({ name }) => name).join(', ')}\n`);
  process.exit(2);
}
const pairs = Number(values.pairs ?? (values.full ? 5 : 3));
if (!Number.isInteger(pairs) || pairs < 1) {
  process.stderr.write(`--pairs ${values.pairs}: a whole number from 1 on\n`);
  process.exit(2);
}

const say = (line: string): void => void process.stderr.write(`  ${line}\n`);
if (litestreams().length < 2) say('LITESTREAM_03 and LITESTREAM_05 do not both name a binary: measured without');
// Not in /tmp, which may be in memory, because the figures are about disks.
const root = join(import.meta.dirname, '../bench-data');
mkdirSync(root, { recursive: true });
const measured: Measured = {};
for (const bench of BENCHES) {
  if (values.only !== undefined && !values.only.includes(bench.name)) continue;
  process.stderr.write(`${bench.name}\n`);
  const folder = mkdtempSync(join(root, `${bench.name}-`));
  try {
    const figures: Figure[] = [];
    for await (const figure of bench.run({ full: values.full, folder, pairs, say })) figures.push(figure);
    measured[bench.name] = figures;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
rmSync(root, { recursive: true, force: true });
const figures = Object.values(measured).flat();
process.stdout.write(values.json ? `${JSON.stringify(figures, null, 2)}\n` : asText(figures));
if (values.write) writeReport(measured);
