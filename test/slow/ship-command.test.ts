/** `seawall ship` with default settings beside writers in other languages and libraries, killed at any moment. */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { Seeded, seeds } from '../history/seeded.ts';
import { alive, Scene, until } from '../shipper/scene.ts';
import { committedIn } from '../shipper/writers/ledger.ts';
import { open } from '../shipper/writers/library.ts';
import { assertSameBytes } from '../history/same-bytes.ts';

const [SEED = 1] = seeds(1, 1 + Math.floor(Math.random() * 1e6));
const RERUN = `rerun: SEED=${SEED} node --test test/slow/ship-command.test.ts`;
const random = new Seeded(SEED);
const writers = join(import.meta.dirname, '../shipper/writers');

interface Writer {
  readonly name: string;
  readonly start: (scene: Scene) => ChildProcess;
}
const kinds: Writer[] = [
  {
    name: 'node:sqlite',
    start: (scene) => scene.command(process.execPath, join(writers, 'ledger-writer.ts'), scene.database, 'node:sqlite'),
  },
];
if (spawnSync('python3', ['-c', 'import sqlite3']).status === 0) {
  kinds.push({
    name: 'Python',
    start: (scene) => scene.command('python3', join(writers, 'ledger.py'), scene.database),
  });
} else process.stdout.write('no python3 with sqlite3 here: the Python writer is left out\n');

async function commits(path: string): Promise<number> {
  const db = await open('better-sqlite3', path);
  try {
    return committedIn(db);
  } finally {
    db.close();
  }
}

function startShip(scene: Scene): { readonly process: ChildProcess; readonly ready: Promise<void> } {
  const main = join(import.meta.dirname, '../../cli/main.ts');
  const child = spawn(process.execPath, [main, 'ship', scene.database, scene.bucket, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  const ready = new Promise<void>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (output.includes('"ready"')) resolve();
    });
    child.once('exit', () => {
      reject(new Error(`ship ended: ${output}`));
    });
  });
  ready.catch(() => undefined);
  return { process: child, ready };
}

for (const { name, start } of kinds) {
  test(`beside a ${name} writer: after every kill the restore is a commit at or after what was in the bucket`, async () => {
    await using scene = new Scene();
    const settle = await open('better-sqlite3', scene.database);
    settle.exec('PRAGMA journal_mode = WAL');
    settle.close();
    for (let round = 0; round < 5; round++) {
      const ship = startShip(scene);
      const writer = start(scene);
      await ship.ready;
      await sleep(1200 + random.int(1500));
      let expected = await commits((await scene.restore()).path);
      const victim = random.int(3);
      const helper = scene.holder();
      if (victim === 0) writer.kill('SIGKILL');
      else if (victim === 1) {
        assert.ok(helper > 0, 'the helper is known by its pid'); // 0 would be this process's own group
        process.kill(helper, 'SIGKILL');
      } else {
        // The helper outlives the command: it ships what was committed by then, and ends before the writer does.
        expected = await commits(scene.database);
        ship.process.kill('SIGKILL');
      }
      await sleep(random.int(100));
      writer.kill('SIGKILL');
      if (ship.process.exitCode === null && ship.process.signalCode === null) {
        ship.process.kill('SIGTERM');
        await once(ship.process, 'exit');
      }
      await until(() => !alive(helper));
      const restored = await scene.restore();
      const found = await commits(restored.path);
      assert.ok(found >= expected, `${found} after ${expected}; victim ${victim}; ${RERUN}`);
      if (victim === 0) assertSameBytes(readFileSync(restored.path), scene.image(), `identical; ${RERUN}`);
    }
  });
}
