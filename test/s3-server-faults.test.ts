// What the server of the tests does wrong when it is told to.
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import assert from 'node:assert/strict';
import { Bucket, MiB, outcome, put, putInParts, read, start } from './s3-server/client.ts';

test('a status fault refuses without doing, skips and stops as told, and counts its hits', async (t) => {
  const { server, s3 } = await start(t);
  const rule = { kind: 'status', status: 503, code: 'SlowDown', after: 1, times: 2 } as const;
  const handle = server.faults.add({ ...rule, match: ({ op, key }) => op === 'PutObject' && key.startsWith('f/') });
  const outcomes = [];
  for (const key of ['f/1', 'other', 'f/2', 'f/3', 'f/4']) outcomes.push(await outcome(put(s3, key)));
  assert.deepEqual(outcomes, ['ok', 'ok', 'SlowDown/503', 'SlowDown/503', 'ok']);
  assert.equal(handle.hits, 2);
  assert.deepEqual(
    server.objects(Bucket).map(({ key }) => key),
    ['f/1', 'f/4', 'other'],
  );
  assert.equal(server.requests.PutObject, 5);
});

test('faults by chance are the same for the same seed', async (t) => {
  const { server, s3 } = await start(t);
  const handle = server.faults.add({ kind: 'status', status: 500, code: 'InternalError', probability: 0.5 });
  const run = async (seed: number): Promise<string> => {
    server.faults.seed(seed);
    const outcomes = [];
    for (let i = 0; i < 24; i++) outcomes.push((await outcome(put(s3, 'k'))) === 'ok' ? '.' : 'x');
    return outcomes.join('');
  };
  const first = await run(7);
  assert.equal(await run(7), first);
  assert.notEqual(await run(8), first);
  assert.match(first, /\.x|x\./);
  handle.remove();
  assert.equal(await outcome(put(s3, 'k')), 'ok');
});

test('a reset fault ends the connection and does nothing; a hang answers never; clear() ends both', async (t) => {
  const { server, s3 } = await start(t);
  server.faults.add({ kind: 'reset', times: 1 });
  server.faults.add({ kind: 'hang', times: 1 });
  assert.equal(await outcome(put(s3, 'k')), 'ECONNRESET');
  assert.equal(await outcome(put(s3, 'k')), 'ETIMEDOUT');
  assert.deepEqual(server.objects(Bucket), []);
  server.faults.add({ kind: 'reset' });
  server.faults.clear();
  assert.equal(await outcome(put(s3, 'k')), 'ok');
});

test('an acknowledgement that is lost leaves the write done, for puts and for completed uploads', async (t) => {
  const { server, s3 } = await start(t);
  server.faults.add({ kind: 'lost-ack', match: ({ op }) => op === 'PutObject' || op === 'CompleteMultipartUpload' });
  assert.equal(await outcome(put(s3, 'k', 'stored')), 'ECONNRESET');
  assert.equal(await outcome(putInParts(s3, 'm', Buffer.from('end'))), 'ECONNRESET');
  assert.equal(server.peek(Bucket, 'k').toString(), 'stored');
  assert.equal(server.peek(Bucket, 'm').length, 5 * MiB + 3);
  assert.deepEqual(server.uploads(Bucket), []);
  server.faults.clear();
  assert.equal(await outcome(put(s3, 'k', 'stored', { IfNoneMatch: '*' })), 'PreconditionFailed/412');
});

test('a cut body arrives in part under its full length and is noticed by the client', async (t) => {
  const { server, s3 } = await start(t);
  await put(s3, 'k', Buffer.alloc(100_000, 7));
  server.faults.add({ kind: 'cut', times: 1, match: ({ op }) => op === 'GetObject' });
  const { Body, ContentLength } = await s3.send(new GetObjectCommand({ Bucket, Key: 'k' }));
  assert.equal(ContentLength, 100_000);
  let received = 0;
  await assert.rejects(async () => {
    for await (const chunk of Body as AsyncIterable<Buffer>) received += chunk.length;
  });
  assert.equal(received, 50_000);
  assert.equal((await read(s3, 'k')).length, 100_000);
});

test('a slow answer comes after the deed by default and before it when told', async (t) => {
  const { server, s3 } = await start(t);
  const enough = Promise.withResolvers<undefined>();
  const latency = enough.promise;
  server.faults.add({ kind: 'slow', latency: 200 });
  server.faults.add({ kind: 'slow', latency, match: ({ key }) => key === 'after' });
  const before = { delay: 'operation', match: ({ key }: { key: string }) => key === 'before' } as const;
  const late = server.faults.add({ kind: 'slow', latency, ...before });
  const began = performance.now();
  let answered = 0;
  const both = Promise.all(['after', 'before'].map((key) => put(s3, key).then(() => answered++)));
  while (server.objects(Bucket).length === 0 || late.hits === 0) await wait(5);
  assert.deepEqual(
    server.objects(Bucket).map(({ key }) => key),
    ['after'],
  );
  assert.equal(answered, 0);
  enough.resolve(undefined);
  await both;
  assert.ok(performance.now() - began >= 195);
  assert.equal(server.objects(Bucket).length, 2);
});

test('a conflict is answered to conditional writes only', async (t) => {
  const { server, s3 } = await start(t);
  const handle = server.faults.add({ kind: 'conflict-409' });
  assert.equal(await outcome(put(s3, 'k')), 'ok');
  assert.equal(await outcome(put(s3, 'n', 'x', { IfNoneMatch: '*' })), 'ConditionalRequestConflict/409');
  assert.equal(handle.hits, 1);
});

test('during an outage every request fails, also on connections that were open, and after it all is as before', async (t) => {
  const { server, s3 } = await start(t);
  await put(s3, 'k', 'kept');
  server.pause();
  for (let i = 0; i < 3; i++) assert.match(await outcome(read(s3, 'k')), /^(ECONNRESET|EPIPE)$/);
  server.resume();
  assert.equal((await read(s3, 'k')).toString(), 'kept');
});

test('close() ends idle and hanging connections at once', async (t) => {
  const { server, s3 } = await start(t);
  await put(s3, 'k');
  server.faults.add({ kind: 'hang' });
  const hanging = outcome(read(s3, 'k'));
  while (server.requests.GetObject === 0) await wait(5);
  await server.close();
  assert.equal(await hanging, 'ECONNRESET');
});
