/**
 * The least that any shipper must do, and nothing else: a read transaction that is moved once a second, so that no
 * frame leaves the WAL, and frames that are packed all the time on another processor, at the low priority of a helper.
 *
 * Usage: bystander.ts <database>; ends when its parent does, or is killed.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { setImmediate as breathe, setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { codec } from '../replica/format/codec.ts';
import { BLOCK_SIZE } from '../replica/format/block-size.ts';
import { beginRead } from '../shipper/helper/database/connections.ts';
import { giveWayToTheApp } from '../shipper/helper/sharing/priority.ts';

const [path = ''] = process.argv.slice(2);
process.on('disconnect', () => process.exit());
giveWayToTheApp();
while (!existsSync(`${path}-wal`) || statSync(`${path}-wal`).size < 2 * BLOCK_SIZE) await sleep(20);
let reader = new Database(path, { readonly: true });
let next = new Database(path, { readonly: true });
beginRead(reader);
setInterval(() => {
  beginRead(next);
  reader.exec('ROLLBACK');
  [reader, next] = [next, reader];
}, 1000);
const frames = readFileSync(`${path}-wal`).subarray(0, BLOCK_SIZE);
const lz4 = codec('lz4');
for (;;) {
  lz4.encodeBlock(frames);
  await breathe();
}
