/** Where app and helper both want a processor, the app comes first. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { getPriority } from 'node:os';
import { test } from 'node:test';
import { blobTable } from '../blob-table.ts';
import { Scene } from '../scene.ts';

test('the helper is less important to the scheduler than the app, with each of its threads', async () => {
  await using scene = new Scene();
  blobTable(scene.database, 1).close();
  const shipper = await scene.ship();
  const threads = process.platform === 'linux' ? readdirSync(`/proc/${shipper.pid}/task`).map(Number) : [shipper.pid!];
  assert.ok(threads.length > 0);
  for (const thread of threads) assert.ok(getPriority(thread) > getPriority(), `thread ${thread}`);
  await shipper.stop();
});
