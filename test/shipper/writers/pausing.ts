/**
 * Commits and checkpoints at random until it is told to pause, and goes on when it is told to: path, library, seed.
 * Messages: `pause`, answered by `paused` when nothing is under way any more, and `go`.
 */
import { setImmediate as breathe } from 'node:timers/promises';
import { Seeded } from '../../history/seeded.ts';
import { open } from './library.ts';

const [path = '', library = '', seed = '1'] = process.argv.slice(2);
const random = new Seeded(Number(seed));
const db = await open(library, path);
db.exec('PRAGMA busy_timeout = 5000');
db.exec('PRAGMA synchronous = OFF');
const state = { paused: true };
process.on('message', (message) => {
  state.paused = message === 'pause';
  if (state.paused) process.send!('paused');
  else db.exec(`PRAGMA wal_autocheckpoint = ${[5, 20, 100, 1000][random.int(4)]!}`);
});
process.on('disconnect', () => process.exit());
process.send!('ready');

for (;;) {
  await breathe();
  if (state.paused) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    continue;
  }
  const burst = 1 + random.int(6);
  for (let i = 0; i < burst; i++) step();
  if (random.chance(0.5)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, random.int(4));
}

function step(): void {
  const kind = random.int(100);
  if (kind < 85) db.exec(`UPDATE t SET b = randomblob(1500) WHERE id = ${1 + random.int(40)}`);
  else if (kind < 91) db.exec('PRAGMA wal_checkpoint(PASSIVE)');
  else if (kind < 94) db.exec('PRAGMA busy_timeout = 5; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA busy_timeout = 5000');
  else db.exec(`UPDATE t SET b = randomblob(1500) WHERE id % 3 = ${random.int(3)}`);
}
