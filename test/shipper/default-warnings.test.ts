/** A failing backup is told even if the app listens to nothing. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { DefaultWarnings } from '../../shipper/default-warnings.ts';
import type { ShipperEvent } from '../../shipper/protocol.ts';
import { Scene } from './scene.ts';

function problem(code: string): ShipperEvent {
  return { type: 'problem', error: { kind: 'unreachable', code, message: `of ${code}` }, failures: 1 };
}

test('each problem of each database is told once in ten minutes', () => {
  let steady = 0;
  const told: string[] = [];
  const clock = { now: () => 0, steady: () => steady };
  const warnings = new DefaultWarnings(clock, (message, code) => told.push(`${code} ${message}`));
  for (const [minutes, code, database] of [
    [0, 'A', 'x.db'],
    [1, 'A', 'x.db'],
    [2, 'B', 'x.db'],
    [3, 'A', 'y.db'],
    [9, 'A', 'x.db'],
    [10, 'A', 'x.db'],
  ] as const) {
    steady = minutes * 60_000;
    warnings.hear(problem(code), database);
  }
  warnings.hear({ type: 'recovered', failures: 1 }, 'x.db');
  assert.deepEqual(told, [
    'A the backup of x.db is failing: of A',
    'B the backup of x.db is failing: of B',
    'A the backup of y.db is failing: of A',
    'A the backup of x.db is failing: of A',
  ]);
});

for (const listening of [false, true]) {
  test(`an app that ${listening ? 'listens for problem gets no' : 'listens to nothing gets a'} warning on stderr`, async () => {
    await using scene = new Scene();
    const server = await scene.serve();
    const db = new Database(scene.database);
    db.pragma('journal_mode = WAL');
    db.exec('CREATE TABLE t (b)');
    const script = `
      import { Shipper } from ${JSON.stringify(join(import.meta.dirname, '../../shipper/index.ts'))};
      const shipper = new Shipper(${JSON.stringify({ database: scene.database, replica: scene.bucket, syncInterval: '30ms', retryMax: '50ms', stopTimeout: '1s' })});
      ${listening ? "shipper.on('problem', () => console.log('problem'));" : ''}
      await shipper.start();
      console.log('started');
      setInterval(() => undefined, 1000);
    `;
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      env: { ...process.env, AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' },
    });
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    while (!out.includes('started')) await once(child.stdout, 'data');
    server.pause();
    db.exec('INSERT INTO t VALUES (1)');
    if (listening) while (!out.includes('problem')) await once(child.stdout, 'data');
    else while (!err.includes('is failing')) await once(child.stderr, 'data');
    child.kill('SIGKILL');
    await once(child, 'close');
    if (listening) assert.doesNotMatch(err, /SeawallWarning/);
    else assert.match(err, /\[SEAWALL_STORE_\w+\] SeawallWarning: the backup of .*app\.db is failing: /);
    db.close();
  });
}
