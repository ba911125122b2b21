/** `seawall restore --lambda`: the real handler behind a Lambda of the tests' own, its link fetched from their S3. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAnswer } from '../../cli/lambda/answer.ts';
import { functionName } from '../../cli/lambda/function-name.ts';
import { formatChecksum } from '../../replica/format/page-hashes.ts';
import { scoped } from '../../replica/store/scoped.ts';
import { formatTime } from '../../replica/target.ts';
import { start } from '../examples/run.ts';
import { startLambdaServer } from '../functions/lambda-server.ts';
import { BUCKET, metricsOf, setStage } from '../functions/stage.ts';
import { latestState } from '../history/expect.ts';
import { buildHistory, hashOf, positionOf, type History } from '../history/history.ts';
import { Scratch } from '../history/scratch.ts';
import { startS3Server } from '../s3-server/index.ts';
import { errorOf, MAIN, Running, seawall, seawallJson, type Json } from './seawall.ts';

let clockAhead = 0;
const s3 = await startS3Server({ buckets: [BUCKET], now: () => Date.now() + clockAhead });
const stage = await setStage({ SEAWALL_ROOT: 'dbs/' }, s3);
const { handler } = await import('../../functions/restore/handler.ts');
const lambda = await startLambdaServer({ 'backup-restore': handler });
const scratch = new Scratch();
const env = { AWS_ENDPOINT_URL_LAMBDA: lambda.endpoint, AWS_REGION: undefined, AWS_MAX_ATTEMPTS: '5' };
const BY_FUNCTION = ['restore', '--lambda', 'backup-restore', '--region', 'us-east-1', '--database', 'app'];
let history: History;
let size: number;

before(async () => {
  const workload = { largest: 2_000_000, most: 8_000_000 };
  const options = { codec: 'lz4', control: true, cut: { notRestorable: 0 }, workload } as const;
  history = await buildHistory(scoped(stage.root, 'app'), { ...options, seed: 9501, commits: 25, pageSize: 4096 });
  size = latestState(history).pages * 4096;
  assert.ok(size > 2 << 20, `${size} bytes are several pieces`);
});
after(async () => {
  scratch[Symbol.dispose]();
  await lambda[Symbol.asyncDispose]();
  await stage[Symbol.asyncDispose]();
});
afterEach(() => {
  s3.faults.clear();
  clockAhead = 0;
  lambda.onAnswer = () => undefined;
  lambda.invocations.length = 0;
});

let targets = 0;

/** A path in a folder of its own. */
function newTarget(): { readonly path: string; readonly left: () => string[] } {
  const folder = mkdtempSync(join(scratch.path, 'target-'));
  targets++;
  return { path: join(folder, `app-${targets}.db`), left: () => readdirSync(folder) };
}

const isDownload = ({ op, key }: { readonly op: string; readonly key?: string | undefined }): boolean =>
  op === 'GetObject' && key?.startsWith('restores/') === true;

/** Fails with this error, and nothing is left at the target or beside it. */
async function failsWith(exitCode: number, kind: string, code: string, ...more: string[]): Promise<Json> {
  const { path, left } = newTarget();
  const error = errorOf(await seawallJson([...BY_FUNCTION, '-o', path, ...more], exitCode, { env }));
  assert.deepEqual([error['kind'], error['code']], [kind, code], JSON.stringify(error));
  assert.deepEqual(left(), []);
  return error;
}

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
    [['bucket', '--lambda', 'f', '--database', 'app', '-o', path], /name a replica, or a function .* not both/],
    [['--lambda', 'f', '-o', path], /--database <name> is missing/],
    [['--lambda', 'f', '--database', 'app'], /--output <file> is missing/],
    [['--lambda', 'f', '--database', '../other', '-o', path], /a component is "\.\."/],
    [['--lambda', 'f g', '--database', 'app', '-o', path], /--lambda must be the name or the ARN .* not f g/],
    [['--lambda', 'f', '--database', 'app', '-o', path, '--at', 'yesterday'], /not a point to restore: "yesterday"/],
    [['--lambda', 'f', '--database', 'app', '-o', path, '--region', 'Frankfurt'], /--region must be a region/],
    [['--lambda', 'f', '--database', 'app', '-o', path], /the region is not known: give --region or the ARN/],
    [['--lambda', 'f', '--database', 'app', '-o', '-'], /--output must be a file/],
    [['bucket', '--database', 'app', '-o', path], /--database goes with --lambda/],
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
    assert.match(String(error['message']), /^backup-restore refuses this: .*still to come/);
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
        message: new RegExp(`no good "${field}"`),
      });
    }
  });
});

describe('the way to the function', () => {
  const refusal = (status: number, type: string) => ({ kind: 'refusal', status, type }) as const;

  test('throttled for a moment: asked again; for longer: 1, and what to do', async () => {
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

describe('the way of the file', () => {
  /** Changes the restored object after the function has proven it. */
  function spoil(change: (bytes: Buffer) => Buffer): void {
    lambda.onAnswer = (answer) => {
      const { key } = answer as { readonly key: string };
      s3.poke(BUCKET, key, change(Buffer.from(s3.peek(BUCKET, key))));
    };
  }

  test('a flipped byte, wherever: 4, and nothing at the target', async () => {
    for (const at of [0, size >> 1, size - 1]) {
      spoil((bytes) => {
        bytes[at]! ^= 0x40;
        return bytes;
      });
      const error = await failsWith(4, 'corrupt', 'DOWNLOAD_CHECKSUM');
      assert.equal(error['expected'], formatChecksum(latestState(history).checksum));
    }
  });
  test('a byte too few or too many: 4', async () => {
    spoil((bytes) => bytes.subarray(0, -1));
    assert.equal((await failsWith(4, 'corrupt', 'DOWNLOAD_SIZE'))['actual'], size - 1);
    spoil((bytes) => Buffer.concat([bytes, Buffer.from('x')]));
    await failsWith(4, 'corrupt', 'DOWNLOAD_SIZE');
  });
  test('a connection that breaks is taken up where it broke', async () => {
    const ranges: unknown[] = [];
    const seen = s3.faults.add({
      kind: 'cut',
      times: 3,
      match: (request) => {
        if (!isDownload(request)) return false;
        ranges.push(request.headers['range']);
        return true;
      },
    });
    const { path } = newTarget();
    await seawallJson([...BY_FUNCTION, '-o', path], 0, { env });
    assert.equal(hashOf(readFileSync(path)), latestState(history).hash);
    assert.equal(seen.hits, 3);
    assert.equal(ranges[0], undefined);
    const starts = ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(String(range))![1]));
    assert.equal(starts.length, 3);
    assert.ok(
      starts.every((start, i) => start > (starts[i - 1] ?? 0) && start < size),
      starts.join(' '),
    );
  });
  test('another file in its place by then is not mixed in', async () => {
    let cut = false;
    s3.faults.add({ kind: 'cut', times: 1, match: (request) => (cut ||= isDownload(request)) });
    lambda.onAnswer = (answer) => {
      const { key } = answer as { readonly key: string };
      s3.faults.add({
        kind: 'status',
        status: 412,
        code: 'PreconditionFailed',
        match: (request) => isDownload(request) && request.headers['if-match'] !== undefined && request.key === key,
      });
    };
    await failsWith(1, 'conflict', 'RESTORED_FILE_REPLACED');
  });
  test('a connection that breaks for good: 1, and nothing is left', async () => {
    s3.faults.add({ kind: 'cut', times: 1, match: isDownload });
    s3.faults.add({ kind: 'reset', match: isDownload });
    const error = await failsWith(1, 'unreachable', 'DOWNLOAD_FAILED');
    assert.match(String(error['message']), new RegExp(`after [1-9]\\d* of ${size} bytes`));
  });
  test('a link that has expired: 1, and where the file is', async () => {
    lambda.onAnswer = () => {
      clockAhead = 2 * 3600_000;
    };
    const error = await failsWith(1, 'denied', 'LINK_EXPIRED');
    assert.match(String(error['message']), /aws s3 cp s3:\/\/b\/restores\/app\//);
  });
  test('a file that is gone: 3', async () => {
    s3.faults.add({ kind: 'status', status: 404, code: 'NoSuchKey', match: isDownload });
    await failsWith(3, 'missing', 'RESTORED_FILE_MISSING');
  });
});

test('Ctrl-C while the function works, and in mid-download: nothing is left, and it ends as by the signal', async () => {
  lambda.trouble({ kind: 'slow', latency: 3000 });
  const early = newTarget();
  await using waiting = new Running([...BY_FUNCTION, '-o', early.path], { env });
  while (lambda.invocations.length === 0) await sleep(20);
  waiting.child.kill('SIGINT');
  const first = await waiting.ended();
  assert.deepEqual([first.code, first.signal], [null, 'SIGINT']);
  assert.match(first.stderr, /the function goes on[^]*interrupted by SIGINT/);

  s3.faults.add({ kind: 'cut', times: 1, match: isDownload });
  const hanging = s3.faults.add({ kind: 'hang', match: isDownload });
  const late = newTarget();
  await using fetching = new Running([...BY_FUNCTION, '-o', late.path], { env });
  while (hanging.hits === 0) await sleep(20);
  assert.equal(late.left().length, 1, 'half a file, under another name');
  fetching.child.kill('SIGTERM');
  const second = await fetching.ended();
  assert.deepEqual([second.code, second.signal], [null, 'SIGTERM']);
  assert.deepEqual([early.left(), late.left()], [[], []]);
});

const script = '/usr/bin/script';

test('on a terminal: the time while the function works, then the download', { skip: !existsSync(script) }, async () => {
  lambda.trouble({ kind: 'slow', latency: 2500 });
  s3.faults.add({ kind: 'cut', times: 1, match: isDownload }); // so that the bar is drawn in mid-download
  const { path } = newTarget();
  Object.assign(process.env, { AWS_ENDPOINT_URL_LAMBDA: lambda.endpoint, TERM: 'xterm' });
  const command = [process.execPath, MAIN, ...BY_FUNCTION, '-o', path].map((word) => `'${word}'`).join(' ');
  const { code, out } = await start(script, ['-qec', command, '/dev/null'], scratch.path).ended;
  assert.equal(code, 0, out);
  const drawn = out.split('\r\x1b[2K');
  assert.ok(drawn.includes('restore function at work  0:01') && drawn.includes('restore function at work  0:02'), out);
  assert.ok(
    drawn.some((line) => /^download .*%.*MiB/.test(line)),
    out,
  );
  assert.match(drawn.at(-1)!, /^restored /);
});
