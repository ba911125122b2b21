/** Moments as people type them, a restore that only tells, and the age as an exit code. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { formatPosition, formatTime, parseTarget } from '../../replica/index.ts';
import { filesStore } from '../../replica/store/files/store.ts';
import { parseTargetAt } from '../../replica/terms/target.ts';
import { buildHistory } from '../history/history.ts';
import { Scratch } from '../history/scratch.ts';
import { errorOf, seawall, seawallJson } from './seawall.ts';

const NOW = Date.parse('2026-03-01T12:00:00Z');

test('spans before now, in the words of people and of tools', () => {
  const spans: readonly (readonly [string, number])[] = [
    ['now', 0],
    ['-5m', 5 * 60_000],
    ['5 minutes ago', 5 * 60_000],
    ['1 minute ago', 60_000],
    ['-90s', 90_000],
    ['1.5h ago', 5_400_000],
    ['2 days ago', 2 * 86_400_000],
    ['-1w', 7 * 86_400_000],
    ['250ms ago', 250],
  ];
  for (const [text, span] of spans) {
    assert.deepEqual(parseTargetAt(text, NOW), { kind: 'time', time: NOW - span }, text);
  }
  for (const text of ['latest', '2026-03-01T11:59:00Z', '0123456789abcdef/00000003/00001038']) {
    assert.deepEqual(parseTargetAt(text, NOW), parseTarget(text));
  }
  for (const text of ['5 minutes', '5m', 'ago', '-5', '-5x', 'yesterday', '5 minutes from now', '--5m']) {
    assert.throws(() => parseTargetAt(text, NOW), RangeError, text);
  }
});

test('restore --dry-run tells the state and what it takes, and writes nothing; --at takes spans', async () => {
  using scratch = new Scratch();
  const bucket = scratch.file();
  const history = await buildHistory(filesStore(bucket), { seed: 6100, commits: 30, control: true });
  const last = history.states.at(-1)!;
  const told = await seawallJson(['restore', bucket, '--dry-run', '--at', '-1s'], 0);
  const { generation, index, offset } = last;
  assert.equal(told['position'], formatPosition({ generation, index, offset }));
  assert.equal(told['time'], formatTime(last.time));
  assert.ok((told['objects'] as number) >= 1 && (told['bytes'] as number) > 0);
  const path = scratch.file();
  const words = await seawall(['restore', bucket, '--dry-run', '-o', path]);
  assert.match(words.stdout, /nothing is written/);
  assert.equal(existsSync(path), false);
  assert.equal((await seawall(['restore', bucket, '-o', path, '--at', '1 second ago'])).code, 0);
  assert.equal(createHash('sha256').update(readFileSync(path)).digest('hex'), last.hash);
  assert.equal(errorOf(await seawallJson(['restore', bucket, '--dry-run', '--at', '-9999w'], 3))['kind'], 'point');
  assert.equal((await seawall(['restore', bucket, '--dry-run', '--force'])).code, 2);
});

test('status --max-age: exit code 0 within, 1 beyond, and the report in both cases', async () => {
  using scratch = new Scratch();
  const bucket = scratch.file();
  await buildHistory(filesStore(bucket), { seed: 6101, commits: 5, control: true });
  assert.equal((await seawallJson(['status', bucket, '--max-age', '9999d'], 0))['tooOld'], undefined);
  const old = await seawallJson(['status', bucket, '--max-age', '10m'], 1);
  assert.equal(old['tooOld'], true);
  assert.equal(typeof old['ageSeconds'], 'number');
  assert.match(
    (await seawall(['status', bucket, '--max-age', '10m'])).stdout,
    /too old: .* and at most 10 minutes is allowed/,
  );
  assert.equal((await seawall(['status', bucket, '--max-age', 'soon'])).code, 2);
});
