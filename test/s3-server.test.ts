// What the server of the tests promises beyond plain S3, which the battery of 28 checks covers.
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  type S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { startChecksum } from './s3-server/checksum.ts';
import type { S3Notification } from './s3-server/index.ts';
import { compareKeys } from './s3-server/key-index.ts';
import assert from 'node:assert/strict';
import { Bucket, MiB, clientOf, outcome, put, putInParts, read, start } from './s3-server/client.ts';

test('the log of overwrites names keys whose bytes were replaced by other bytes, and no others', async (t) => {
  const { server, s3 } = await start(t);
  await put(s3, 'same', 'v');
  await put(s3, 'same', 'v');
  await put(s3, 'changed', 'v1');
  await put(s3, 'changed', 'v2');
  await put(s3, 'deleted', 'v1');
  await s3.send(new DeleteObjectCommand({ Bucket, Key: 'deleted' }));
  await put(s3, 'deleted', 'v2');
  await putInParts(s3, 'parts', Buffer.from('1'));
  // The same bytes in one piece have another ETag and are still the same bytes.
  await put(s3, 'parts', Buffer.concat([Buffer.alloc(5 * MiB, 1), Buffer.from('1')]));
  assert.deepEqual(server.overwrites(), [{ bucket: Bucket, key: 'changed' }]);
  await putInParts(s3, 'parts', Buffer.from('2'));
  assert.deepEqual(server.overwrites().at(-1), { bucket: Bucket, key: 'parts' });
  assert.deepEqual(
    server.history.filter(({ key }) => key === 'deleted').map(({ op }) => op),
    ['PutObject', 'DeleteObject', 'PutObject'],
  );
});

test('a part of an object can be corrupted behind the protocol, and a client reads the corrupted bytes', async (t) => {
  const { server, s3 } = await start(t);
  const { ETag } = await put(s3, 'k', 'right');
  server.poke(Bucket, 'k', Buffer.from('wrong'));
  assert.equal((await read(s3, 'k')).toString(), 'wrong');
  assert.equal(ETag, `"${server.objects(Bucket)[0]?.etag ?? ''}"`);
  assert.deepEqual(server.overwrites(), []);
});

test('events have the shape of AWS, come after the write, and keep to prefix and suffix', async (t) => {
  const { server, s3 } = await start(t, { now: () => Date.UTC(2030, 0, 2, 3, 4, 5, 678) });
  const got: S3Notification[] = [];
  const end = server.events.subscribe(Bucket, { prefix: 'a b/', suffix: '.lz4' }, (event) => void got.push(event));
  const { ETag } = await put(s3, "a b/ü+(1)'.lz4", 'four');
  await put(s3, 'a b/other');
  await put(s3, 'c/x.lz4');
  await putInParts(s3, 'a b/parts.lz4', Buffer.from('1'));
  await s3.send(new CopyObjectCommand({ Bucket, Key: 'a b/copy.lz4', CopySource: `${Bucket}/c/x.lz4` }));
  end();
  await put(s3, 'a b/late.lz4');
  assert.deepEqual(
    got.map(({ Records: [record] }) => [record?.eventName, record?.s3.object.key]),
    [
      ['ObjectCreated:Put', 'a+b/%C3%BC%2B%281%29%27.lz4'],
      ['ObjectCreated:CompleteMultipartUpload', 'a+b/parts.lz4'],
      ['ObjectCreated:Copy', 'a+b/copy.lz4'],
    ],
  );
  const record = got[0]?.Records[0];
  assert.ok(record);
  const { object, ...s3Part } = record.s3;
  assert.deepEqual([record.eventVersion, record.eventSource, record.awsRegion], ['2.1', 'aws:s3', 'us-east-1']);
  assert.equal(record.eventTime, '2030-01-02T03:04:05.678Z');
  assert.deepEqual(s3Part.bucket, { name: 'b', ownerIdentity: { principalId: 'TEST' }, arn: 'arn:aws:s3:::b' });
  assert.equal(s3Part.s3SchemaVersion, '1.0');
  assert.deepEqual([object.size, `"${object.eTag}"`], [4, ETag]);
  const sequencers = got.map(({ Records }) => Records[0]?.s3.object.sequencer ?? '');
  assert.match(sequencers.join(), /^[0-9A-F]{16}(,[0-9A-F]{16})+$/);
  assert.deepEqual(sequencers.toSorted(), sequencers);
});

test('access is decided by key id and policy, with S3 not telling strangers what is missing', async (t) => {
  const asked: string[] = [];
  const writer = {
    allow: (action: string, bucket: string, key: string, headers: Readonly<Record<string, string>>) => {
      asked.push(`${action} ${bucket}/${key}`);
      return action === 's3:PutObject' && key.startsWith('ok/') && headers['if-none-match'] === '*';
    },
  };
  const auth = {
    owner: { allow: () => true },
    writer,
    gone: { allow: () => true, expired: true },
    keeper: { allow: (action: string, _: string, key: string) => action !== 's3:DeleteObject' || key === 'ok/1' },
  };
  const { server } = await start(t, { auth });
  const [owner, limited, gone, unknown, keeper] = ['owner', 'writer', 'gone', 'unknown', 'keeper'].map((id) =>
    clientOf(t, server, id),
  ) as [S3Client, S3Client, S3Client, S3Client, S3Client];
  assert.equal(await outcome(put(limited, 'ok/1', 'x', { IfNoneMatch: '*' })), 'ok');
  assert.equal(await outcome(put(limited, 'ok/2')), 'AccessDenied/403');
  assert.equal(await outcome(put(limited, 'no/1', Buffer.alloc(3 * MiB), { IfNoneMatch: '*' })), 'AccessDenied/403');
  assert.equal(await outcome(read(limited, 'ok/1')), 'AccessDenied/403');
  assert.equal(await outcome(limited.send(new ListObjectsV2Command({ Bucket }))), 'AccessDenied/403');
  assert.deepEqual(asked.slice(-2), ['s3:GetObject b/ok/1', 's3:ListBucket b/']);
  assert.equal(await outcome(put(gone, 'ok/3')), 'ExpiredToken/400');
  assert.equal(await outcome(put(unknown, 'ok/3')), 'InvalidAccessKeyId/403');
  assert.equal(await outcome(read(owner, 'missing')), 'NoSuchKey/404');
  assert.equal((await fetch(`${server.endpoint}/b/ok/1`)).status, 403);
  await put(owner, 'ok/2');
  const Delete = { Objects: [{ Key: 'ok/1' }, { Key: 'ok/2' }] };
  const { Deleted, Errors } = await keeper.send(new DeleteObjectsCommand({ Bucket, Delete }));
  assert.deepEqual(
    Deleted?.map(({ Key }) => Key),
    ['ok/1'],
  );
  assert.deepEqual(
    Errors?.map(({ Key, Code }) => [Key, Code]),
    [['ok/2', 'AccessDenied']],
  );
});

test('a server on a data directory goes on with what an earlier one acknowledged, and sweeps up the rest', async (t) => {
  const data = await mkdtemp(join(tmpdir(), 's3-server-'));
  t.after(() => rm(data, { recursive: true, force: true }));
  const first = await start(t, { data });
  await put(first.s3, 'k', 'kept', { ContentType: 'text/x', Metadata: { page: '4096' } });
  await put(first.s3, 'gone', 'x');
  await first.s3.send(new DeleteObjectCommand({ Bucket, Key: 'gone' }));
  await putInParts(first.s3, 'parts', Buffer.from('end'));
  const { UploadId } = await first.s3.send(new CreateMultipartUploadCommand({ Bucket, Key: 'open' }));
  const part = { Bucket, Key: 'open', UploadId, PartNumber: 1 };
  const { ETag } = await first.s3.send(new UploadPartCommand({ ...part, Body: 'part' }));
  assert.equal(await outcome(put(first.s3, 'k', 'never', { IfNoneMatch: '*' })), 'PreconditionFailed/412');
  const before = first.server.objects(Bucket);
  assert.equal((await readdir(join(data, 'bodies'))).length, 3);
  await first.server.close();

  const { server, s3 } = await start(t, { data });
  assert.deepEqual(server.objects(Bucket), before);
  const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'k', ChecksumMode: 'ENABLED' }));
  assert.deepEqual([head.ContentType, head.Metadata], ['text/x', { page: '4096' }]);
  assert.ok(head.ChecksumCRC32);
  assert.equal((await read(s3, 'k')).toString(), 'kept');
  assert.equal((await read(s3, 'parts')).length, 5 * MiB + 3);
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
  await s3.send(new CompleteMultipartUploadCommand({ Bucket, Key: 'open', UploadId, MultipartUpload }));
  assert.equal((await read(s3, 'open')).toString(), 'part');
  assert.equal((await readdir(join(data, 'bodies'))).length, 3);
});

test('unfinished uploads are listed by prefix in pages, their parts too, and go when aborted', async (t) => {
  const { server, s3 } = await start(t);
  const started = [];
  for (const Key of ['u/b', 'u/a', 'u/a', 'v/c', 'u/c/1']) {
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
    started.push({ Key, UploadId });
  }
  const pages = [];
  let next: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } | undefined = {};
  while (next) {
    const asked: object = next;
    const page = await s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'u/', MaxUploads: 1, ...asked }));
    pages.push(page.Uploads?.map(({ Key, UploadId }) => ({ Key, UploadId })));
    next = page.IsTruncated ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker } : undefined;
  }
  const [b, a1, a2, , c] = started;
  assert.deepEqual(pages, [[a1], [a2], [b], [c]]);

  for (const PartNumber of [3, 1, 2])
    await s3.send(new UploadPartCommand({ Bucket, ...b, PartNumber, Body: 'x' } as never));
  const parts = await s3.send(new ListPartsCommand({ Bucket, ...b, MaxParts: 2 } as never));
  assert.deepEqual(
    parts.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size]),
    [
      [1, 1],
      [2, 1],
    ],
  );
  assert.deepEqual([parts.IsTruncated, parts.NextPartNumberMarker], [true, '2']);
  assert.equal(server.uploads(Bucket).find(({ key }) => key === 'u/b')?.parts.length, 3);
  await s3.send(new AbortMultipartUploadCommand({ Bucket, ...b } as never));
  assert.equal(await outcome(s3.send(new ListPartsCommand({ Bucket, ...b } as never))), 'NoSuchUpload/404');
  assert.equal(server.uploads(Bucket).length, 4);
});

test('of racing completions of one key under If-None-Match exactly one wins', async (t) => {
  const { server, s3 } = await start(t);
  const outcomes = await Promise.all(
    Array.from({ length: 4 }, (_, i) => outcome(putInParts(s3, 'k', Buffer.from([i]), { IfNoneMatch: '*' }))),
  );
  assert.deepEqual(outcomes.toSorted(), [
    'PreconditionFailed/412',
    'PreconditionFailed/412',
    'PreconditionFailed/412',
    'ok',
  ]);
  assert.deepEqual(server.overwrites(), []);
});

test('a part may be copied by range from a source over 5 MiB only, and from the source it was meant to be', async (t) => {
  const { s3 } = await start(t);
  await put(s3, 'five', Buffer.alloc(5 * MiB));
  const { ETag } = await put(s3, 'more', Buffer.alloc(5 * MiB + 1));
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: 'k' }));
  const copy = (source: string, more: { CopySourceRange?: string; CopySourceIfMatch?: string | undefined }) => {
    const part = { Bucket, Key: 'k', UploadId, PartNumber: 1, CopySource: `${Bucket}/${source}` };
    return outcome(s3.send(new UploadPartCopyCommand({ ...part, ...more })));
  };
  assert.equal(await copy('five', { CopySourceRange: 'bytes=0-9' }), 'InvalidRequest/400');
  assert.equal(await copy('five', {}), 'ok');
  assert.equal(await copy('more', { CopySourceRange: 'bytes=0-9', CopySourceIfMatch: ETag }), 'ok');
  assert.equal(await copy('more', { CopySourceRange: `bytes=0-${String(6 * MiB)}` }), 'InvalidArgument/400');
  assert.equal(await copy('more', { CopySourceIfMatch: '"0"' }), 'PreconditionFailed/412');
});

test('a signed chunked body is taken out of its frames wherever they are split', async (t) => {
  const { server } = await start(t);
  const signature = `;chunk-signature=${'0'.repeat(64)}`;
  const framed = `5${signature}\r\nhello\r\n6${signature}\r\n world\r\n0${signature}\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n`;
  const head = [
    'PUT /b/framed HTTP/1.1',
    'Host: s3',
    'x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
    'x-amz-decoded-content-length: 11',
    'x-amz-trailer: x-amz-checksum-crc32',
    'Content-Encoding: aws-chunked',
    `Content-Length: ${String(framed.length)}`,
  ];
  const socket = connect(server.port, '127.0.0.1').setNoDelay();
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  for (let at = 0; at < framed.length; at += 7) {
    socket.write(framed.slice(at, at + 7));
    await wait(1);
  }
  const [answer] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  assert.match(answer.toString(), /^HTTP\/1\.1 200 /);
  assert.equal(server.peek(Bucket, 'framed').toString(), 'hello world');
});

test('a client that asks before it sends is told to go on, or refused without sending', async (t) => {
  const { server } = await start(t);
  const send = async (path: string): Promise<[status: number | undefined, wasTold: boolean]> => {
    const headers = { Expect: '100-continue', 'Content-Length': 5 };
    const asking = request({ port: server.port, host: '127.0.0.1', method: 'PUT', path, headers });
    let wasTold = false;
    asking.once('continue', () => {
      wasTold = true;
      asking.end('hello');
    });
    asking.on('error', () => undefined);
    asking.flushHeaders();
    const [response] = (await once(asking, 'response')) as [{ statusCode?: number; resume(): void }];
    response.resume();
    asking.destroy();
    return [response.statusCode, wasTold];
  };
  assert.deepEqual(await send('/b/k'), [200, true]);
  assert.deepEqual(await send('/nobucket/k'), [404, false]);
  assert.equal(server.peek(Bucket, 'k').toString(), 'hello');
});

test('presigned URLs work for reading and writing until they expire', async (t) => {
  let now = Date.UTC(2030, 0, 1, 0, 0, 30);
  const { server } = await start(t, { auth: { me: { allow: (_, __, key) => key === 'p q' } }, now: () => now });
  const signed = 'X-Amz-Date=20300101T000000Z&X-Amz-Expires=60&X-Amz-Credential=me%2F20300101&X-Amz-Signature=0';
  const url = `${server.endpoint}/b/p%20q?${signed}`;
  assert.equal((await fetch(url, { method: 'PUT', body: 'hello' })).status, 200);
  assert.equal(await (await fetch(url)).text(), 'hello');
  assert.equal((await fetch(url.replace('p%20q', 'other'))).status, 403);
  now += 60_000;
  const late = await fetch(url);
  assert.equal(late.status, 403);
  assert.match(await late.text(), /<Message>Request has expired<\/Message>/);
});

test('a body that ends early, or is not what was said of it, leaves nothing behind', async (t) => {
  const data = await mkdtemp(join(tmpdir(), 's3-server-'));
  t.after(() => rm(data, { recursive: true, force: true }));
  const { server, s3 } = await start(t, { data });
  await put(s3, 'k', 'kept');
  const socket = connect(server.port, '127.0.0.1');
  socket.write('PUT /b/k HTTP/1.1\r\nHost: s3\r\nContent-Length: 1000\r\n\r\nonly this');
  while (server.requests.bytesIn < 'kept'.length + 'only this'.length) await wait(5);
  socket.destroy();
  assert.equal(await outcome(put(s3, 'k', 'other', { ContentMD5: 'AAAAAAAAAAAAAAAAAAAAAA==' })), 'BadDigest/400');
  assert.equal(await outcome(put(s3, 'k', 'other', { ChecksumCRC64NVME: 'AAAAAAAAAAA=' })), 'BadDigest/400');
  while ((await readdir(join(data, 'bodies'))).length > 1) await wait(5);
  assert.equal(server.peek(Bucket, 'k').toString(), 'kept');
  assert.deepEqual(
    server.history.map(({ op }) => op),
    ['PutObject'],
  );
});

test('checksums agree with the published check values', () => {
  const values = { CRC32: 'cbf43926', CRC32C: 'e3069283', CRC64NVME: 'ae8b14860a799888' } as const;
  for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME'] as const) {
    const running = startChecksum(algorithm);
    running.update(Buffer.from('1234'));
    running.update(Buffer.from('56789'));
    assert.equal(running.digest().toString('hex'), values[algorithm]);
  }
});

test('keys compare as their UTF-8 bytes do', () => {
  const keys = [
    '',
    'a',
    'ab',
    'b',
    '\u007f',
    '\u0080',
    '\ud7ff',
    '\ue000',
    '\uffff',
    '\u{10000}',
    '\u{10ffff}',
    '\ue000a',
  ];
  for (const a of keys) {
    for (const b of keys) assert.equal(Math.sign(compareKeys(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }
});
