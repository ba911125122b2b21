/** Command lines are held against what is known; what is wrong is named, and the nearest known thing with it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCommandLine } from '../../cli/command-line.ts';
import type { Command } from '../../cli/command.ts';
import { UsageError } from '../../cli/exit-codes.ts';
import { quoted } from '../../cli/failure.ts';
import { helpOf } from '../../cli/help.ts';
import { nearest } from '../../cli/nearest.ts';
import { errorOf, seawall, seawallJson } from './seawall.ts';

const command: Command = {
  name: 'send',
  summary: 'sends',
  details: [],
  operands: [
    { name: 'from', help: 'a place' },
    { name: 'to', help: 'another' },
  ],
  flags: {
    window: { value: 'duration', help: 'how long' },
    output: { short: 'o', value: 'file', help: 'where to' },
    count: { value: 'count', help: 'how many', default: '3' },
    force: { help: 'in any case' },
  },
  examples: [{ line: 'seawall send a b', says: 'plainly' }],
  run: () => Promise.reject(new Error('not to be run')),
};

function refused(args: readonly string[], words: RegExp): void {
  assert.throws(
    () => parseCommandLine(command, args),
    (error) => error instanceof UsageError && words.test(error.message),
  );
}

test('operands and flags stand in any order; -- ends the flags', () => {
  const line = parseCommandLine(command, ['a', '--force', '-o', 'file', '--window=1h', '--', '--b']);
  assert.deepEqual([line.operand(0), line.operand(1)], ['a', '--b']);
  assert.deepEqual([line.has('force'), line.text('output'), line.duration('window')], [true, 'file', 3_600_000]);
  assert.deepEqual([line.has('json'), line.text('count'), line.count('count', 0)], [false, undefined, undefined]);
});

test('what is wrong is named', () => {
  refused(['a', 'b', '--windw', '1h'], /unknown flag --windw; did you mean --window\?/);
  refused(['a', 'b', '--win', '1h'], /did you mean --window\?/);
  refused(['a', 'b', '-x'], /unknown flag -x; see seawall send --help/);
  refused(['a', 'b', '--constructor'], /unknown flag --constructor/);
  refused(['a', 'b', '--force', '--force'], /--force was given twice/);
  refused(['a', 'b', '--force=yes'], /--force takes no value; it got yes/);
  refused(['a', 'b', '--window'], /--window needs a value: --window <duration>/);
  refused(['a', 'b', '--window', '--force'], /--window needs a value/);
  refused(['a', 'b', '--window='], /--window needs a value/);
  refused(['a'], /<to> is missing: another/);
  refused(['a', 'b', 'c'], /"c" is one operand more/);
  refused(['a', ''], /<to> is empty/);
});

test('values are checked with the name of their flag', () => {
  const of = (...args: string[]) => parseCommandLine(command, ['a', 'b', ...args]);
  assert.equal(of('--count', '7').count('count', 0), 7);
  assert.throws(() => of('--count', 'many').count('count', 0), /--count must be a number of at least 0, not many/);
  assert.throws(() => of('--count', '1.5').count('count', 0), /--count must be a whole number, not 1.5/);
  assert.throws(() => of('--count', '0').count('count', 1), /at least 1, not 0/);
  assert.throws(() => of('--window', '5').duration('window'), /--window must be a duration/);
  assert.throws(() => of().required('output', 'file'), /--output <file> is missing/);
  assert.throws(() => of('--output', 'x').oneOf('output', ['y', 'z']), /--output must be y or z, not x/);
});

test('the nearest word: a slip of the finger or a word cut short, not just any', () => {
  const words = ['restore', 'retain', 'list', 'status', 'ship'];
  assert.equal(nearest('restor', words), 'restore');
  assert.equal(nearest('stauts', words), 'status');
  assert.equal(nearest('stat', words), 'status');
  assert.equal(nearest('delete', words), undefined);
  assert.equal(nearest('', words), undefined);
});

test('hints quote words so that a shell takes them back', () => {
  assert.equal(quoted('./bucket'), './bucket');
  assert.equal(quoted('s3://b/p?region=x&endpoint=y'), "'s3://b/p?region=x&endpoint=y'");
  assert.equal(quoted("it's"), String.raw`'it'\''s'`);
});

test('help shows operands, flags with their defaults, and examples', () => {
  const help = helpOf(command);
  for (const part of ['<from>', '-o, --output <file>', 'how many [3]', '--json', 'seawall send a b']) {
    assert.ok(help.includes(part), part);
  }
  assert.ok(help.split('\n').every((line) => line.length <= 100));
});

test('--version, --help and a command’s own help go to stdout, with exit code 0', async () => {
  const [version, help, own, asWord] = await Promise.all([
    seawall(['--version']),
    seawall(['--help']),
    seawall(['restore', '--help', '--nonsense']),
    seawall(['help', 'maintain']),
  ]);
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
  for (const name of ['ship', 'restore', 'list', 'status', 'verify', 'compact', 'retain', 'maintain']) {
    assert.match(help.stdout, new RegExp(`^  ${name} `, 'm'));
  }
  assert.match(own.stdout, /--at <point>[^]*Examples:[^]*seawall restore /);
  assert.match(asWord.stdout, /seawall maintain <root>/);
  for (const { code, stderr } of [version, help, own, asWord]) assert.deepEqual([code, stderr], [0, '']);
});

test('wrong usage exits 2 and says so on stderr, or as JSON on stdout', async () => {
  const [nothing, command_, flag, point, place] = await Promise.all([
    seawall([]),
    seawall(['restoer', 'x']),
    seawallJson(['ship', 'a.db', 'b', '--sync-intervall', '1s'], 2),
    seawallJson(['restore', 'x', '-o', 'y', '--at', 'yesterday'], 2),
    seawallJson(['list', 'ftp://x'], 2),
  ]);
  assert.deepEqual([nothing.code, nothing.stdout], [2, '']);
  assert.match(nothing.stderr, /Usage: seawall <command>/);
  assert.deepEqual([command_.code, command_.stdout], [2, '']);
  assert.match(command_.stderr, /unknown command "restoer"; did you mean restore\?/);
  assert.equal(errorOf(flag)['kind'], 'usage');
  assert.match(String(errorOf(flag)['message']), /--sync-intervall; did you mean --sync-interval\?/);
  assert.match(String(errorOf(point)['message']), /"yesterday". Give latest, a time such as/);
  assert.match(String(errorOf(place)['message']), /unknown scheme "ftp:"/);
});
