/**
 * The torture rack: random work, random faults, random deaths, and after each round the question whether every promise
 * was kept.
 *
 *     npm run torture -- --seed 1 --minutes 10
 *
 * Each campaign has a seed of its own, counting up from --seed. Exit codes: 0 everything held; 1 something did not, and
 * the evidence is kept; 2 the command line is wrong; 3 the rack itself broke.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { renderProgress } from '../../cli/terminal/progress-bar.ts';
import { formatSize } from '../../replica/terms/units.ts';
import { librariesHere, runCampaign, type Failure } from './campaign.ts';
import { rerunLine } from './evidence.ts';
import { killsOf, newFigures } from './figures.ts';

const HELP = `usage: npm run torture -- [--seed n] [--minutes m] [--campaigns k] [--lanes l] [--keep-going] [--json] [--evidence folder]`;

interface Settings {
  readonly seed: number;
  readonly minutes: number;
  readonly campaigns: number;
  readonly lanes: number;
  readonly keepGoing: boolean;
  readonly json: boolean;
  readonly evidence: string;
}

function settings(): Settings {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: String(1 + Math.floor(Math.random() * 1e9)) },
      minutes: { type: 'string' },
      campaigns: { type: 'string' },
      lanes: { type: 'string', default: '1' },
      'keep-going': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      evidence: { type: 'string', default: join(tmpdir(), 'seawall-torture') },
    },
  });
  const number = (name: string, text: string | undefined, otherwise: number): number => {
    if (text === undefined) return otherwise;
    const value = Number(text);
    if (!(value > 0) || text.trim() === '') throw new RangeError(`--${name} must be a number above 0, not ${text}`);
    return value;
  };
  return {
    seed: number('seed', values.seed, 1),
    minutes: number('minutes', values.minutes, values.campaigns === undefined ? 5 : Infinity),
    campaigns: number('campaigns', values.campaigns, Infinity),
    lanes: number('lanes', values.lanes, 1),
    keepGoing: values['keep-going'],
    json: values.json,
    evidence: values.evidence,
  };
}

class CompileCache implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'seawall-torture-cache-'));

  constructor() {
    const warm = new URL('./warm.ts', import.meta.url).pathname;
    const env = { ...process.env, NODE_COMPILE_CACHE: this.folder };
    const { status, stderr } = spawnSync(process.execPath, [warm], { env, encoding: 'utf8' });
    if (status !== 0) throw new Error(`the product cannot be loaded: ${stderr}`);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function main(given: Settings): Promise<number> {
  process.env['AWS_ACCESS_KEY_ID'] = 'nobody';
  process.env['AWS_SECRET_ACCESS_KEY'] = 'test';
  // Processes are made by the dozen; without this most of the time would go into stripping types.
  using cache = new CompileCache();
  process.env['NODE_COMPILE_CACHE'] = cache.folder;
  const figures = newFigures();
  const failures: Failure[] = [];
  const stop = new AbortController();
  const began = performance.now();
  const seconds = (): number => (performance.now() - began) / 1000;
  const isOver = (): boolean => stop.signal.aborted || seconds() >= given.minutes * 60;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => {
      stop.abort();
    });
  }
  if (Number.isFinite(given.minutes)) setTimeout(() => { stop.abort(); }, given.minutes * 60_000).unref(); // prettier-ignore
  const libraries = librariesHere();
  if (!libraries.includes('python')) process.stderr.write('no python3 with sqlite3 here: no writer uses it\n');
  if (!given.json) process.stderr.write(`torture from seed ${given.seed}\n`);

  const bar = process.stderr.isTTY && !given.json ? setInterval(draw, 250) : undefined;
  function draw(): void {
    const label = `round ${figures.rounds}  ${killsOf(figures)} kills  ${figures.restores} restores`;
    const state = {
      label,
      done: seconds(),
      total: Number.isFinite(given.minutes) ? given.minutes * 60 : undefined,
      rate: 1,
    };
    const line = renderProgress(state, { columns: process.stderr.columns, color: true, unit: 'objects' });
    process.stderr.write(`\r\x1b[2K${line}`);
  }
  let next = given.seed;
  async function lane(): Promise<void> {
    while (!isOver() && next < given.seed + given.campaigns) {
      const failure = await runCampaign(next++, { libraries, figures, evidence: given.evidence, signal: stop.signal });
      if (failure === undefined) continue;
      failures.push(failure);
      process.stderr.write(`\nseed ${failure.seed}, round ${failure.round}: ${String(failure.error)}\n`);
      process.stderr.write(`evidence: ${failure.evidence}\n${rerunLine(failure.seed)}\n`);
      if (!given.keepGoing) stop.abort();
    }
  }
  await Promise.all(Array.from({ length: given.lanes }, lane));
  clearInterval(bar);
  if (bar !== undefined) process.stderr.write('\r\x1b[2K');

  const kills = killsOf(figures);
  const found = failures.map(({ seed, round, error, evidence }) => ({ seed, round, finding: String(error), evidence }));
  if (given.json)
    process.stdout.write(
      `${JSON.stringify({ seed: given.seed, seconds: Math.round(seconds()), killed: kills, ...figures, failures: found })}\n`,
    );
  else {
    const { app, helper, writer, keeper } = figures.kills;
    process.stdout.write(
      `${kills} kills (${helper} helpers, ${app} apps, ${writer} writers, ${keeper} keepers) in ${(seconds() / 60).toFixed(1)} minutes over ${figures.campaigns} seeds, ${figures.rounds} rounds\n` +
        `${figures.commits} commits, ${figures.promises} promises, ${figures.restores} restores of ${formatSize(figures.bytes)}, ${figures.compactions} compactions, ${figures.deleted} objects deleted\n` +
        `generations: ${JSON.stringify(figures.generations)}, gone on with: ${JSON.stringify(figures.resumed)}\n` +
        `${failures.length === 0 ? 'every promise was kept' : `${failures.length} findings`}\n`,
    );
  }
  return failures.length === 0 ? 0 : 1;
}

let given: Settings;
try {
  given = settings();
} catch (error) {
  process.stderr.write(`${String(error)}\n${HELP}\n`);
  process.exit(2);
}
try {
  process.exitCode = await main(given);
} catch (error) {
  process.stderr.write(`the rack broke: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(3);
}
