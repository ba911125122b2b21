/** An app that ends on a signal ships everything first, however often the signal comes. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { Scene } from './scene.ts';

async function rowsAfter(scene: Scene): Promise<unknown> {
  const restored = new Database((await scene.restore()).path, { readonly: true });
  try {
    return restored.prepare('SELECT count(*) FROM t').pluck().get();
  } finally {
    restored.close();
  }
}

async function ready(child: ChildProcess): Promise<void> {
  for (;;) {
    const [message] = (await once(child, 'message')) as [{ ready?: boolean }];
    if (message.ready === true) return;
  }
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal}, twice within 50 ms: before() runs once, everything it committed is shipped, the process ends by it`, async () => {
    await using scene = new Scene();
    const child = scene.writer('signalled-app.ts', scene.bucket);
    await ready(child);
    const befores: unknown[] = [];
    child.on('message', (message) => befores.push(message));
    const exited = once(child, 'exit');
    child.kill(signal);
    await sleep(50);
    child.kill(signal);
    assert.deepEqual(await exited, [null, signal]);
    assert.deepEqual(befores, [{ before: signal }]);
    assert.equal(await rowsAfter(scene), 300);
  });
}

test('it is refused in a worker thread, which signals do not reach', async () => {
  const worker = new Worker(
    `const { stopOnSignals } = await import(${JSON.stringify(new URL('../../shipper/stop-on-signals.ts', import.meta.url).href)});
     const { parentPort } = await import('node:worker_threads');
     try { stopOnSignals(async () => undefined); parentPort.postMessage('taken'); }
     catch (error) { parentPort.postMessage(error.code); }`,
    { eval: true, execArgv: ['--input-type=module'] },
  );
  const [code] = (await once(worker, 'message')) as [string];
  assert.equal(code, 'NOT_MAIN_THREAD');
  await worker.terminate();
});
