/**
 * Shows that the rack notices: breaks one guard of the product at a time, in a copy of the sources, and tortures that.
 *
 *     node test/torture/guards.ts [guard…] [--seed n] [--minutes m]
 *
 * Exit codes: 0 every broken guard was noticed; 1 one was not; 2 the command line is wrong.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { librariesHere } from './campaign.ts';
import { breakGuard, GUARDS, type Guard } from './guard-edits.ts';
import { planCampaign } from './plan.ts';

const PARTS = ['replica', 'shipper', 'functions', 'cli', 'test', 'package.json', 'tsconfig.json'];
const EVIDENCE = join(tmpdir(), 'seawall-guards');
const root = join(import.meta.dirname, '../..');

/** The first seed from `seed` on whose plan needs the guard. */
function seedFor(guard: Guard, seed: number): number {
  const libraries = librariesHere();
  for (let candidate = seed; ; candidate++) if (guard.needed(planCampaign(candidate, libraries))) return candidate;
}

interface Verdict {
  readonly seed: number;
  readonly seconds: number;
  /** Rounds that were through, and processes killed, when it was noticed or given up. */
  readonly rounds: number;
  readonly kills: number;
  readonly finding: string | undefined;
}

async function torture(guard: Guard, seed: number, minutes: number): Promise<Verdict> {
  const copy = mkdtempSync(join(tmpdir(), 'seawall-guards-'));
  const began = performance.now();
  let rounds = 0;
  let kills = 0;
  try {
    for (const part of PARTS) cpSync(join(root, part), join(copy, part), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
    breakGuard(copy, guard);
    while (performance.now() - began < minutes * 60_000) {
      const from = seedFor(guard, seed);
      const args = ['test/torture/main.ts', '--seed', String(from), '--campaigns', '1', '--json'];
      const child = spawn(process.execPath, [...args, '--evidence', EVIDENCE], {
        cwd: copy,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      let output = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
      const [code] = (await once(child, 'close')) as [number];
      const seconds = Math.round((performance.now() - began) / 1000);
      if (code > 1) throw new Error(`the rack broke, code ${code}`);
      const told = JSON.parse(output) as { rounds: number; killed: number; failures: { finding: string }[] };
      rounds += told.rounds;
      kills += told.killed;
      if (code === 1) return { seed: from, seconds, rounds, kills, finding: told.failures[0]!.finding };
      seed = from + 1;
    }
    return { seed, seconds: Math.round((performance.now() - began) / 1000), rounds, kills, finding: undefined };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: 'string', default: '1' }, minutes: { type: 'string', default: '10' } },
});
const unknown = positionals.filter((name) => !(name in GUARDS));
if (unknown.length > 0 || !(Number(values.seed) > 0) || !(Number(values.minutes) > 0)) {
  process.stderr.write(`unknown: ${unknown.join(', ')}; guards are ${Object.keys(GUARDS).join(', ')}\n`);
  process.exit(2);
}
for (const [name, guard] of Object.entries(GUARDS)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  const { seed, seconds, rounds, kills, finding } = await torture(guard, Number(values.seed), Number(values.minutes));
  const verdict = finding === undefined ? 'NOT noticed' : `noticed: ${finding.split('\n')[0]!.slice(0, 200)}`;
  process.stdout.write(`${name} | seed ${seed} | ${seconds} s | ${rounds} rounds | ${kills} kills | ${verdict}\n`);
  if (finding === undefined) process.exitCode = 1;
}
