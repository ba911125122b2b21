/** Signals in the middle of the work: nothing half done is left, and whoever waits sees that it was a signal. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { codec } from '../../replica/format/codec.ts';
import { writeSnapshot } from '../../replica/objects/snapshot-writer.ts';
import { openStore } from '../../replica/store/open.ts';
import { blocksOf } from '../history/history.ts';
import { Scratch } from '../history/scratch.ts';
import { startS3Server } from '../s3-server/index.ts';
import { Running, seawallJson } from './seawall.ts';

const MIB = 2 ** 20;
const env = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test', AWS_REGION: 'us-east-1' };

test('SIGINT in mid-restore from S3 leaves nothing at the target, and ends as by the signal', async () => {
  using scratch = new Scratch();
  const server = await startS3Server({ buckets: ['b'] });
  try {
    const url = `s3://b/app?endpoint=${server.endpoint}&region=us-east-1`;
    const store = await openStore(url, { credentials: { accessKeyId: 'test', secretAccessKey: 'test' } });
    const image = randomBytes(20 * MIB); // does not compress, so it is fetched in several requests
    const facts = { generation: '00000000000000aa', index: 0, pageSize: 4096, pages: 5120, time: 5, reason: 'test' };
    await writeSnapshot(store, { ...facts, checksum: undefined }, codec('lz4'), blocksOf(image));
    await store.close();
    let large = 0;
    const interrupted = Promise.withResolvers<undefined>();
    server.faults.add({
      kind: 'slow',
      latency: interrupted.promise,
      delay: 'operation',
      match: ({ op, headers }) => {
        const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(String(headers['range'])) ?? [];
        return op === 'GetObject' && Number(to) - Number(from) > MIB && ++large > 1;
      },
    });
    await using running = new Running(['restore', url, '-o', join(scratch.path, 'app.db')], { env });
    while (readdirSync(scratch.path).length === 0) {
      assert.equal(running.child.exitCode, null, running.stderr);
      await sleep(5);
    }
    running.child.kill('SIGINT');
    interrupted.resolve(undefined);
    const ended = await running.ended();
    assert.deepEqual([ended.code, ended.signal], [null, 'SIGINT']);
    assert.match(ended.stderr, /interrupted by SIGINT/);
    assert.deepEqual(readdirSync(scratch.path), []);
    server.faults.clear();
    const restored = await seawallJson(['restore', url, '-o', join(scratch.path, 'app.db')], 0, { env });
    assert.equal(restored['bytes'], 20 * MIB);
  } finally {
    await server.close();
  }
});
