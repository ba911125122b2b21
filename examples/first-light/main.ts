/**
 * First light: one database with Seawall, from its first backup to its restore, in half a minute.
 *
 *     node examples/first-light/main.ts [--folder first-light] [--places 200000] [--seconds 12]
 *
 * The gazetteer has about 170,000 places; all of them are taken unless fewer are asked for.
 * Exits 0 only if every proof held.
 */
import { relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Account, seconds } from './account.ts';
import { firstLight } from './first-light.ts';

const { values } = parseArgs({
  options: {
    folder: { type: 'string', default: 'first-light' },
    places: { type: 'string', default: '200000' },
    seconds: { type: 'string', default: '12' },
  },
});

const account = new Account(process.stdout, process.env);
const from = performance.now();
try {
  const folder = resolve(values.folder);
  const near = relative('', folder);
  const commands = await firstLight(account, {
    folder,
    shown: near.startsWith('..') ? folder : near,
    places: count('places', values.places, 1000, 1_000_000),
    seconds: count('seconds', values.seconds, 1, 600),
  });
  const good = account.failed === 0;
  const verdict = good ? `All ${account.proofs} proofs held` : `${account.failed} of ${account.proofs} proofs failed`;
  account.verdict(`${verdict}, after ${seconds(performance.now() - from)}.`, good);
  account.title('To try next');
  for (const command of commands) account.line(command);
  process.exitCode = good ? 0 : 1;
} catch (error) {
  account.verdict(`Failed: ${error instanceof Error ? error.message : String(error)}`, false);
  process.exitCode = 1;
}

function count(name: string, value: string, least: number, most: number): number {
  const number = Number(value);
  if (Number.isInteger(number) && number >= least && number <= most) return number;
  throw new RangeError(`--${name} must be a whole number from ${least} to ${most}, not ${JSON.stringify(value)}`);
}
