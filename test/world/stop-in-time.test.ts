/** A store that hangs holds no stop up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeawallError } from '../../replica/terms/errors.ts';
import { blobTable } from '../shipper/blob-table.ts';
import { Scene, until } from '../shipper/scene.ts';

process.env['AWS_ACCESS_KEY_ID'] ??= 'test';
process.env['AWS_SECRET_ACCESS_KEY'] ??= 'test';

for (const method of ['PUT', 'GET']) {
  test(`a stop ends in time although each ${method} hangs, and says that not all was uploaded`, async () => {
    await using scene = new Scene();
    const server = await scene.serve();
    const db = blobTable(scene.database, 20, 2000);
    const shipper = await scene.ship({ stopTimeout: '1s' });
    await shipper.sync();
    const hanging = server.faults.add({ kind: 'hang', match: (request) => request.method === method });
    db.exec('INSERT INTO t (b) VALUES (1)');
    const waiting = shipper.sync().catch((error: unknown) => error);
    await until(() => hanging.hits > 0);
    const from = performance.now();
    await assert.rejects(shipper.stop(), (error) => error instanceof SeawallError && error.code === 'STOP_TIMEOUT');
    // A request that hangs is given up after more than a minute.
    assert.ok(performance.now() - from < 30_000, `${performance.now() - from} ms`);
    assert.ok((await waiting) instanceof SeawallError);
    db.close();
  });
}
