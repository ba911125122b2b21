/** The restore function is as small for a large database as for a small one. */
import assert from 'node:assert/strict';
import { execFile, fork } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { codec } from '../../replica/format/codec.ts';
import { BLOCK_SIZE } from '../../replica/format/block-size.ts';
import { formatChecksum } from '../../replica/format/page-hashes.ts';
import { s3Store } from '../../replica/store/s3/store.ts';
import { writeSnapshot } from '../../replica/objects/snapshot-writer.ts';
import { Seeded } from '../history/seeded.ts';

const SIZE = 2 * 2 ** 30;
const PAGE_SIZE = 4096;
const GENERATION = '0123456789abcdef';
const SOURCE = new URL('../../functions/restore/handler.ts', import.meta.url).href;
const BUNDLE = new URL('../../dist/functions/restore/index.mjs', import.meta.url);

/** Half noise, half text. */
async function* blocks(): AsyncGenerator<Buffer> {
  const random = new Seeded(1);
  const block = Buffer.alloc(BLOCK_SIZE);
  for (let at = 0; at < SIZE; at += BLOCK_SIZE) {
    random.noise(BLOCK_SIZE / 2).copy(block);
    random.text(BLOCK_SIZE / 2).copy(block, BLOCK_SIZE / 2);
    yield block;
  }
}

for (const [what, handler] of [
  ['from source', SOURCE],
  ['bundled', BUNDLE.href],
] as const) {
  const isThere = what === 'from source' || existsSync(BUNDLE);
  test(`2 GiB, ${what}: under 512 MiB, and nothing on disk`, { skip: !isThere && 'not bundled' }, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'seawall-2gib-'));
    const main = new URL('../s3-server/main.ts', import.meta.url);
    const server = fork(main, ['--data', join(folder, 'data')], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
    try {
      const lines = createInterface({ input: server.stdout! })[Symbol.asyncIterator]();
      const { endpoint } = JSON.parse(String((await lines.next()).value)) as { endpoint: string };
      const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
      const store = s3Store({ bucket: 'b', prefix: 'app', endpoint, credentials });
      const facts = {
        generation: GENERATION,
        index: 0,
        pageSize: PAGE_SIZE,
        pages: SIZE / PAGE_SIZE,
        time: Date.now(),
      };
      const written = await writeSnapshot(
        store,
        { ...facts, checksum: undefined, reason: 'start' },
        codec('lz4'),
        blocks(),
      );
      const scratch = join(folder, 'tmp');
      mkdirSync(scratch);
      const env = {
        PATH: process.env['PATH'],
        TMPDIR: scratch,
        AWS_ACCESS_KEY_ID: 'test',
        AWS_SECRET_ACCESS_KEY: 'test',
        AWS_REGION: 'us-east-1',
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '512',
        SEAWALL_BUCKET: 'b',
        SEAWALL_S3_ENDPOINT: endpoint,
        SEAWALL_LOG_LEVEL: 'SILENT',
      };
      const script = join(import.meta.dirname, 'restore-function.mjs');
      const { stdout } = await promisify(execFile)(process.execPath, [script, handler, '{"database":"app"}'], { env });
      const last = stdout.trim().split('\n').at(-1)!;
      const { answer, rss } = JSON.parse(last) as { answer: Record<string, unknown>; rss: number };
      assert.deepEqual([answer['bytes'], answer['checksum']], [SIZE, formatChecksum(written.checksum)]);
      const key = (answer['key'] as string).slice('restores/'.length);
      const restores = s3Store({ bucket: 'b', prefix: 'restores', endpoint, credentials });
      assert.equal((await restores.head(key))?.size, SIZE);
      assert.deepEqual(readdirSync(scratch), []);
      process.stdout.write(`2 GiB ${what}: ${String(answer['seconds'])} s, ${String(Math.round(rss / 2 ** 20))} MiB\n`);
      assert.ok(rss < 512 * 2 ** 20, `${String(Math.round(rss / 2 ** 20))} MiB`);
      await store.close();
      await restores.close();
    } finally {
      server.kill();
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
