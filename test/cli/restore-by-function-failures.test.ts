/** `seawall restore --lambda`: what the function fails with, or the way to it, is what the command fails with. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseAnswer } from '../../cli/lambda/answer.ts';
import { positionOf } from '../history/history.ts';
import { BUCKET } from '../functions/stage.ts';
import { BY_FUNCTION, env, failsWith, history, lambda, newTarget, s3 } from './by-function-scene.ts';
import { errorOf, seawall, seawallJson } from './seawall.ts';

describe('what the function fails with is the failure of the command', () => {
  const failure = (errorType: string, errorMessage: string) =>
    ({ kind: 'failure', payload: JSON.stringify({ errorType, errorMessage, trace: [] }) }) as const;

  test('a point before the first: 3, with the nearest', async () => {
    const error = await failsWith(3, 'point', 'POINT_BEFORE_FIRST', '--at', '2020-01-01T00:00:00Z');
    assert.match(String(error['message']), /Nearest after: 2026/);
  });
  test('an unknown database: 3', async () => {
    const { path, left } = newTarget();
    const args = [...BY_FUNCTION.slice(0, -1), 'nobody', '-o', path];
    const { code, stderr } = await seawall(args, { env });
    assert.equal(code, 3);
    assert.match(stderr, /no replica at s3:\/\/b\/dbs\/nobody/);
    assert.deepEqual(left(), []);
  });
  test('damage in the bucket: 4', async () => {
    const victim = s3.objects(BUCKET).find(({ key }) => key.includes('/snapshots/'))!.key;
    const sound = s3.peek(BUCKET, victim);
    const bytes = Buffer.from(sound);
    bytes[bytes.length >> 1]! ^= 1;
    s3.poke(BUCKET, victim, bytes);
    const state = history.states.find(({ restorable }) => restorable)!;
    const { path } = newTarget();
    const args = [...BY_FUNCTION, '-o', path, '--at', positionOf(state)];
    const error = errorOf(await seawallJson(args, 4, { env }));
    s3.poke(BUCKET, victim, sound);
    assert.equal(error['kind'], 'corrupt');
    assert.ok(String(error['message']).includes(victim.replace('dbs/app/', '')), String(error['message']));
  });
  test('a moment to come, which only the function’s clock knows: 2', async () => {
    const { path } = newTarget();
    const args = [...BY_FUNCTION, '-o', path, '--at', '2199-01-01T00:00:00Z'];
    const error = errorOf(await seawallJson(args, 2, { env }));
    assert.match(String(error['message']), /^backup-restore rejects the request: .*in the future/);
  });
  test('its own permissions: 1', async () => {
    s3.faults.add({ kind: 'status', status: 403, code: 'AccessDenied', match: ({ op }) => op === 'GetObject' });
    await failsWith(1, 'denied', 'STORE_ACCESS_DENIED');
  });
  test('a key in the bucket that is taken: 1', async () => {
    lambda.trouble(failure('Seawall.exists.TARGET_EXISTS', 's3://b/restores/x.db exists'));
    await failsWith(1, 'exists', 'TARGET_EXISTS');
  });
  test('its time was up, by itself or by Lambda: 1, with what to do', async () => {
    lambda.trouble(failure('Seawall.time.OUT_OF_TIME', "the function's time is up"));
    assert.match(String((await failsWith(1, 'unreachable', 'OUT_OF_TIME'))['message']), /more time or memory/);
    lambda.trouble(failure('Sandbox.Timedout', 'RequestId: 1 Error: Task timed out after 900.00 seconds'));
    assert.match(String((await failsWith(1, 'unreachable', 'FUNCTION_TIMED_OUT'))['message']), /after 900/);
    lambda.trouble(failure('Runtime.OutOfMemory', 'RequestId: 1 Error: Runtime exited with error: signal: killed'));
    await failsWith(1, 'unreachable', 'FUNCTION_OUT_OF_MEMORY');
  });
  test('something that nobody foresaw, or that is no JSON: 1, and its words', async () => {
    lambda.trouble(failure('TypeError', 'x is not a function'));
    const error = await failsWith(1, 'unreachable', 'FUNCTION_FAILED');
    assert.match(String(error['message']), /log in CloudWatch.*TypeError: x is not a function/);
    lambda.trouble({ kind: 'failure', payload: '<html>' });
    assert.match(String((await failsWith(1, 'unreachable', 'FUNCTION_FAILED'))['message']), /<html>/);
    lambda.trouble(failure('Seawall.constructor.X', 'no kind of ours'));
    await failsWith(1, 'unreachable', 'FUNCTION_FAILED');
  });
  test('an answer that is none is not believed', async () => {
    lambda.trouble({ kind: 'answer', payload: '"hello"' });
    await failsWith(1, 'unsupported', 'FUNCTION_ANSWER');
    const good = {
      position: '0123456789abcdef/00000003/00001038',
      time: '2026-03-01T00:00:00Z',
      pages: 2,
      pageSize: 1024,
      bytes: 2048,
      checksum: '0123456789abcdef',
      proof: 'recorded',
      bucket: 'b',
      key: 'k',
      url: 'https://b.s3.amazonaws.com/k',
      warnings: ['the head is damaged'],
    };
    assert.deepEqual(parseAnswer(JSON.stringify({ ...good, more: 1 }), 'f'), good);
    const bad: readonly (readonly [field: string, value: unknown])[] = [
      ['bytes', 2047],
      ['warnings', undefined],
      ['warnings', [1]],
      ['bytes', '2048'],
      ['pages', -2],
      ['pageSize', 1000],
      ['checksum', '0123456789ABCDEF'],
      ['url', 'file:///etc/passwd'],
      ['time', 'now'],
      ['proof', 'none'],
      ['position', undefined],
    ];
    for (const [field, value] of bad) {
      assert.throws(() => parseAnswer(JSON.stringify({ ...good, [field]: value }), 'f'), {
        code: 'FUNCTION_ANSWER',
        message: new RegExp(`without a valid "${field}"`),
      });
    }
  });
});

describe('the way to the function', () => {
  const refusal = (status: number, type: string) => ({ kind: 'refusal', status, type }) as const;

  test('a short throttling is retried; a longer one exits 1 and says what to do', async () => {
    lambda.trouble(refusal(429, 'TooManyRequestsException'));
    const { path } = newTarget();
    await seawallJson([...BY_FUNCTION, '-o', path], 0, { env });
    assert.equal(lambda.invocations.length, 2);
    lambda.trouble(refusal(429, 'TooManyRequestsException'), 4);
    const error = await failsWith(1, 'unreachable', 'FUNCTION_THROTTLED');
    assert.match(String(error['message']), /reservedConcurrency/);
    assert.equal(lambda.invocations.length, 6);
  });
  test('no such function: 3', async () => {
    const { path } = newTarget();
    const args = ['restore', '--lambda', 'other', '--region', 'us-east-1', '--database', 'app', '-o', path];
    const error = errorOf(await seawallJson(args, 3, { env }));
    assert.deepEqual([error['kind'], error['code']], ['missing', 'FUNCTION_MISSING']);
  });
  test('credentials, permissions, keys: 1', async () => {
    lambda.trouble(refusal(403, 'AccessDeniedException'));
    await failsWith(1, 'denied', 'FUNCTION_DENIED');
    lambda.trouble(refusal(403, 'ExpiredTokenException'));
    await failsWith(1, 'denied', 'FUNCTION_CREDENTIALS');
    lambda.trouble(refusal(502, 'KMSDisabledException'));
    await failsWith(1, 'denied', 'FUNCTION_KEY');
  });
  test('whatever may have begun a restore is not sent again', async () => {
    lambda.trouble({ kind: 'reset' }, 1);
    await failsWith(1, 'unreachable', 'FUNCTION_UNREACHABLE');
    lambda.trouble(refusal(500, 'ServiceException'));
    await failsWith(1, 'unreachable', 'FUNCTION_SERVICE');
    lambda.trouble({ kind: 'slow', latency: 7000 });
    const { path } = newTarget();
    await seawallJson([...BY_FUNCTION, '-o', path], 0, { env });
    assert.equal(lambda.invocations.length, 3);
  });
  test('nobody there: 1', async () => {
    const { path, left } = newTarget();
    const nowhere = { ...env, AWS_ENDPOINT_URL_LAMBDA: 'http://127.0.0.1:1' };
    const error = errorOf(await seawallJson([...BY_FUNCTION, '-o', path], 1, { env: nowhere }));
    assert.deepEqual([error['kind'], error['code'], left()], ['unreachable', 'FUNCTION_UNREACHABLE', []]);
  });
  test('without the client for Lambda, one line says what to install', async () => {
    const hook = `import { registerHooks } from 'node:module';
      registerHooks({ resolve(name, context, next) {
        if (name !== '@aws-sdk/client-lambda') return next(name, context);
        throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' });
      } });`;
    const { path } = newTarget();
    const without = { ...env, NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hook)}` };
    const { code, stderr } = await seawall([...BY_FUNCTION, '-o', path], { env: without });
    assert.equal(code, 1);
    assert.match(stderr, /^seawall restore: --lambda needs .*: npm install @aws-sdk\/client-lambda\n$/);
  });
});
