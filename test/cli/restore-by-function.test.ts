/** `seawall restore --lambda`: what it restores, and what it refuses before anything is invoked. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { functionName } from '../../cli/lambda/function-name.ts';
import { formatChecksum } from '../../replica/format/page-hashes.ts';
import { formatTime } from '../../replica/terms/target.ts';
import { startLambdaServer } from '../functions/lambda-server.ts';
import { metricsOf } from '../functions/stage.ts';
import { latestState } from '../history/expect.ts';
import { hashOf, positionOf } from '../history/history.ts';
import { BY_FUNCTION, env, handler, history, lambda, newTarget, size } from './by-function-scene.ts';
import { errorOf, seawall, seawallJson } from './seawall.ts';

test('the latest state, bit for bit, and what the answer says of it', async () => {
  const { path, left } = newTarget();
  const { result } = await metricsOf(() => seawallJson([...BY_FUNCTION, '-o', path], 0, { env }));
  const state = latestState(history);
  assert.equal(hashOf(readFileSync(path)), state.hash);
  const { seconds, object, ...facts } = result;
  assert.deepEqual(facts, {
    path,
    function: 'backup-restore',
    database: 'app',
    target: 'latest',
    position: positionOf(state),
    time: formatTime(state.time),
    pages: state.pages,
    pageSize: 4096,
    bytes: size,
    checksum: formatChecksum(state.checksum),
    proof: 'recorded',
    warnings: [],
  });
  assert.match(String(object), /^s3:\/\/b\/restores\/app\/[0-9a-f-]+\.db$/);
  assert.equal(typeof seconds, 'number');
  assert.deepEqual(left(), [path.slice(path.lastIndexOf('/') + 1)]);
});

test('--at a moment and a position; by ARN, which says the region; in words', async () => {
  const state = history.states.findLast((each, i) => i < history.states.length - 3 && each.marked && each.restorable)!;
  const byTime = newTarget();
  await seawallJson([...BY_FUNCTION, '-o', byTime.path, '--at', formatTime(state.time)], 0, { env });
  assert.equal(hashOf(readFileSync(byTime.path)), state.hash);
  const arn = 'arn:aws:lambda:us-east-1:123456789012:function:backup-restore';
  await using whole = await startLambdaServer({ [arn]: handler });
  const byPosition = newTarget();
  const { code, stdout, stderr } = await seawall(
    ['restore', '--lambda', arn, '--database', 'app', '-o', byPosition.path, '--at', positionOf(state)],
    { env: { ...env, AWS_ENDPOINT_URL_LAMBDA: whole.endpoint } },
  );
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(stdout, new RegExp(`^restored ${byPosition.path}\\n +function +${arn}\\n +database +app\\n`));
  assert.match(stdout, /proof +the checksum equals the one taken from the live database\n$/);
  assert.equal(hashOf(readFileSync(byPosition.path)), state.hash);
});

test('an existing file is refused before anything is invoked, and replaced with --force', async () => {
  const { path } = newTarget();
  writeFileSync(path, 'precious');
  const refused = await seawall([...BY_FUNCTION, '-o', path], { env });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /exists[^]*→ --force replaces it/);
  assert.equal(readFileSync(path, 'utf8'), 'precious');
  assert.equal(lambda.invocations.length, 0);
  writeFileSync(`${path}-wal`, 'stale');
  await seawallJson([...BY_FUNCTION, '-o', path, '--force'], 0, { env });
  assert.equal(hashOf(readFileSync(path)), latestState(history).hash);
  assert.ok(!existsSync(`${path}-wal`));
});

test('a wrong command line exits 2 before anything is invoked', async () => {
  const { path, left } = newTarget();
  const cases: readonly (readonly [args: readonly string[], message: RegExp])[] = [
    [['bucket', '--lambda', 'f', '--database', 'app', '-o', path], /give a replica, or a function .* not both/],
    [['--lambda', 'f', '-o', path], /--database <name> is missing/],
    [['--lambda', 'f', '--database', 'app'], /--output <file> is missing/],
    [['--lambda', 'f', '--database', '../other', '-o', path], /a component is "\.\."/],
    [['--lambda', 'f g', '--database', 'app', '-o', path], /--lambda must be the name or the ARN .* not f g/],
    [['--lambda', 'f', '--database', 'app', '-o', path, '--at', 'yesterday'], /not a point to restore: "yesterday"/],
    [['--lambda', 'f', '--database', 'app', '-o', path, '--region', 'Frankfurt'], /--region must be a region/],
    [['--lambda', 'f', '--database', 'app', '-o', path], /the region is unknown: give --region or the ARN/],
    [['--lambda', 'f', '--database', 'app', '-o', '-'], /--output must be a file/],
    [['bucket', '--database', 'app', '-o', path], /--database works only with --lambda/],
    [['-o', path], /<replica> is missing/],
  ];
  for (const [args, message] of cases) {
    const error = errorOf(await seawallJson(['restore', ...args], 2, { env }));
    assert.equal(error['kind'], 'usage');
    assert.match(String(error['message']), message);
  }
  assert.deepEqual([left(), lambda.invocations], [[], []]);
});

test('names and ARNs: which are taken, and which region they are of', () => {
  const arn = 'arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:restore:7';
  for (const name of ['restore', 'restore:live', 'restore:$LATEST', '123456789012:function:restore']) {
    assert.deepEqual(functionName(name, 'eu-west-1'), { name, region: 'eu-west-1' });
  }
  assert.deepEqual(functionName(arn, undefined), { name: arn, region: 'us-gov-west-1' });
  assert.deepEqual(functionName('restore', undefined), { name: 'restore', region: undefined });
  assert.throws(() => functionName(arn, 'eu-west-1'), /the ARN in --lambda lies in us-gov-west-1/);
  for (const name of ['', 'a/b', 'a b', 'arn:aws:s3:::bucket', 'arn:aws:lambda:x:1:function:f', 'f'.repeat(171)]) {
    assert.throws(() => functionName(name, undefined), /--lambda must be the name or the ARN/, name);
  }
});
