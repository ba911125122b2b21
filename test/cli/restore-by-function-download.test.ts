/** `seawall restore --lambda`: the restored file on its way from the bucket, and an end in the middle of it. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { formatChecksum } from '../../replica/format/page-hashes.ts';
import { start } from '../examples/run.ts';
import { BUCKET } from '../functions/stage.ts';
import { latestState } from '../history/expect.ts';
import { hashOf } from '../history/history.ts';
import {
  BY_FUNCTION,
  env,
  failsWith,
  history,
  isDownload,
  lambda,
  newTarget,
  putClockAhead,
  s3,
  scratch,
  size,
} from './by-function-scene.ts';
import { MAIN, Running, seawallJson } from './seawall.ts';

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
      putClockAhead(2 * 3600_000);
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
  const interrupted = Promise.withResolvers<undefined>();
  lambda.trouble({ kind: 'slow', latency: interrupted.promise });
  const early = newTarget();
  await using waiting = new Running([...BY_FUNCTION, '-o', early.path], { env });
  while (lambda.invocations.length === 0) await sleep(20);
  waiting.child.kill('SIGINT');
  const first = await waiting.ended();
  interrupted.resolve(undefined);
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
  const drawnTwice = Promise.withResolvers<undefined>();
  lambda.trouble({ kind: 'slow', latency: drawnTwice.promise });
  s3.faults.add({ kind: 'cut', times: 1, match: isDownload }); // so that the bar is drawn in mid-download
  const { path } = newTarget();
  Object.assign(process.env, { AWS_ENDPOINT_URL_LAMBDA: lambda.endpoint, TERM: 'xterm' });
  const command = [process.execPath, MAIN, ...BY_FUNCTION, '-o', path].map((word) => `'${word}'`).join(' ');
  const terminal = start(script, ['-qec', command, '/dev/null'], scratch.path);
  // A busy machine may skip a second, so any two of them show that the time goes on.
  await terminal.printed(/at work {2}0:(?!00)(\d\d)[^]*at work {2}0:(?!00|\1)\d\d/);
  drawnTwice.resolve(undefined);
  const { code, out } = await terminal.ended;
  assert.equal(code, 0, out);
  const drawn = out.split('\r\x1b[2K');
  const seconds = new Set(drawn.filter((line) => /^restore function at work {2}0:(?!00)\d\d$/.test(line)));
  assert.ok(seconds.size >= 2, out);
  assert.ok(
    drawn.some((line) => /^download .*%.*MiB/.test(line)),
    out,
  );
  assert.match(drawn.at(-1)!, /^restored /);
});
