/** The progress bar: pure rendering at every width, rate and time left, and a real terminal. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { test } from 'node:test';
import { ProgressBar, Rate, renderProgress, type ProgressLook } from '../../cli/terminal/progress-bar.ts';
import { filesStore } from '../../replica/store/files/store.ts';
import { buildHistory } from '../history/history.ts';
import { Scratch } from '../history/scratch.ts';
import { COMPILED, MAIN } from './seawall.ts';

const MIB = 2 ** 20;
const ERASE = '\r\x1b[2K';
const CYAN = '\x1b[36m';
const plain = (columns: number): ProgressLook => ({ columns, color: false, unit: 'bytes' });
const half = { label: 'restore', done: 50 * MIB, total: 100 * MIB, rate: 5 * MIB };

test('a wide terminal shows share, amount, rate and time left', () => {
  assert.equal(
    renderProgress(half, plain(120)),
    `restore  [${'='.repeat(18)}>${' '.repeat(19)}]   50%  50.0 MiB/100.0 MiB  5.00 MiB/s  ETA 0:10`,
  );
});

test('a narrower one drops the amount, then the rate, then the time left, then the bar', () => {
  const at = (columns: number): string => renderProgress(half, plain(columns));
  assert.match(at(60), /^restore {2}\[=+> +\] {3}50% {2}5\.00 MiB\/s {2}ETA 0:10$/);
  assert.match(at(40), /^restore {2}\[=+> +\] {3}50% {2}ETA 0:10$/);
  assert.match(at(28), /^restore {2}\[=+> +\] {3}50%$/);
  assert.equal(at(20), 'restore   50%');
  assert.equal(at(8), 'restore');
});

test('no line is ever as wide as the terminal', () => {
  for (const total of [undefined, 0, 1, 3 * MIB, 7e12]) {
    for (const done of [0, 1, MIB, 3 * MIB, 8e12]) {
      for (const rate of [undefined, 0, 0.3, 12_345_678]) {
        for (let columns = 1; columns <= 130; columns++) {
          for (const unit of ['bytes', 'objects'] as const) {
            const text = renderProgress({ label: 'snapshot', done, total, rate }, { columns, color: true, unit });
            assert.ok(stripVTControlCharacters(text).length < columns, `${columns}: ${text}`);
          }
        }
      }
    }
  }
});

test('shares stay between 0 and 100 %; an unknown total gives no bar', () => {
  assert.match(renderProgress({ ...half, done: 0 }, plain(80)), /\[ +\] {4}0%/);
  assert.match(renderProgress({ ...half, done: 101 * MIB }, plain(80)), /\[=+\] {2}100%/);
  assert.match(renderProgress({ ...half, done: 0, total: 0 }, plain(80)), /100%/);
  assert.equal(renderProgress({ ...half, total: undefined }, plain(80)), 'restore  50.0 MiB  5.00 MiB/s');
});

test('time left counts in minutes and hours', () => {
  const left = (seconds: number): string =>
    renderProgress({ label: 'x', done: 1, total: 1 + seconds, rate: 1 }, plain(100));
  assert.match(left(59), /ETA 0:59$/);
  assert.match(left(61), /ETA 1:01$/);
  assert.match(left(3600 + 5 * 60 + 7), /ETA 1:05:07$/);
  assert.doesNotMatch(left(1e9), /ETA/);
});

test('colours are only where they are wanted', () => {
  assert.ok(renderProgress(half, { ...plain(80), color: true }).includes('\x1b['));
  assert.ok(!renderProgress(half, plain(80)).includes('\x1b'));
});

test('the rate is that of the last seconds, and is counted from zero for a new task', () => {
  const rate = new Rate();
  rate.note(0, 0);
  assert.equal(rate.perSecond, undefined);
  rate.note(400, 40);
  assert.equal(rate.perSecond, undefined);
  rate.note(1000, 100);
  assert.equal(rate.perSecond, 100);
  for (let at = 2000; at <= 20_000; at += 1000) rate.note(at, 100);
  assert.equal(rate.perSecond, 0);
  rate.note(21_000, 3);
  assert.equal(rate.perSecond, undefined);
});

test('the bar draws at most ten times a second, and takes itself away', () => {
  const written: string[] = [];
  let now = 0;
  const stream = { columns: 60, write: (text: string) => written.push(text) };
  const bar = new ProgressBar(stream, 'verify', { color: false, unit: 'objects' }, () => now);
  for (; now < 1000; now += 10) bar.update(now, 1000);
  assert.equal(written.length, 10);
  assert.ok(written.every((text) => text.startsWith(ERASE) && !text.includes('\n')));
  bar.erase();
  bar.erase();
  assert.equal(written.length, 11);
  assert.equal(written.at(-1), ERASE);
  now += 10;
  const unsized = new ProgressBar({ ...stream, columns: 0 }, 'verify', { color: false, unit: 'objects' }, () => now);
  unsized.update(5, 10);
  assert.ok(written.at(-1)!.length > 60, 'a terminal without a size is taken for one of 80 columns');
});

const script = '/usr/bin/script';

test('on a terminal the bar appears, and is gone at the end', { skip: !existsSync(script) }, async () => {
  using scratch = new Scratch();
  await buildHistory(filesStore(join(scratch.path, 'bucket')), { seed: 7, commits: 5, codec: 'lz4' });
  const output = (env: NodeJS.ProcessEnv, ...args: string[]): string => {
    const command = [process.execPath, MAIN, ...args].map((word) => `'${word}'`).join(' ');
    const result = spawnSync(script, ['-qec', command, '/dev/null'], {
      cwd: scratch.path,
      env: { ...process.env, NODE_COMPILE_CACHE: COMPILED, TERM: 'xterm', ...env },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    assert.equal(result.status, 0, result.stdout);
    return result.stdout;
  };
  const drawn = output({ NO_COLOR: '' }, 'restore', 'bucket', '-o', 'a.db').split(ERASE);
  assert.match(drawn[1]!, /^restore .*%/);
  assert.ok(drawn[1]!.includes(CYAN));
  assert.match(drawn.at(-1)!, /^restored /, 'erased before the result, which stands at the start of a line');
  const colourless = output({ NO_COLOR: '1' }, 'restore', 'bucket', '-o', 'b.db');
  assert.match(colourless.split(ERASE)[1]!, /^restore .*%/);
  assert.ok(!colourless.includes(CYAN));
  assert.ok(!output({}, 'restore', 'bucket', '-o', 'c.db', '--json').includes('\x1b'));
});
