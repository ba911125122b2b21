/**
 * The app under torture: starts its shipper, again whenever that ended, carries out a script that comes on stdin, and
 * calls sync() now and then. What it sees goes to stdout, one JSON document a line (see AppWord).
 *
 * Usage: app.ts <database> <better-sqlite3|node:sqlite> <settings as JSON>
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { existsSync } from 'node:fs';
import { SeawallError, Shipper, type ShipperEvent, type ShipperOptions } from '../../../shipper/index.ts';
import { open } from '../../shipper/writers/library.ts';
import type { Place } from '../content.ts';
import { carryOut, scripted } from './scripted.ts';

export interface AppSettings {
  readonly shipper: ShipperOptions;
  /** Milliseconds between two calls of sync(); Infinity is spelled null and means none. */
  readonly syncEvery: number | null;
  /** Calls snapshot() so many milliseconds after the start. */
  readonly snapshotAfter: number | null;
}

export type AppWord =
  | { readonly helper: number }
  /** The shipper stands. */
  | { readonly ready: true }
  | { readonly event: ShipperEvent }
  /** Everything up to `place` is in the replica since `at` (milliseconds since 1970), as sync() or start() said. */
  | { readonly safe: Place; readonly at: number; readonly by: 'sync' | 'start'; readonly position?: string }
  | {
      readonly failed: 'start' | 'sync' | 'snapshot' | 'stop';
      readonly kind: string;
      readonly code: string;
      readonly message: string;
    }
  /** The script is through, everything is shipped, and the shipper has ended. */
  | { readonly stopped: true };

const [path = '', library = '', json = '{}'] = process.argv.slice(2);
const { shipper: options, syncEvery, snapshotAfter } = JSON.parse(json) as AppSettings;

function say(word: AppWord): void {
  process.stdout.write(`${JSON.stringify(word)}\n`);
}

/** Says what failed. An app that was taken over ends, as it should. */
function failed(what: 'start' | 'sync' | 'snapshot' | 'stop', error: unknown): void {
  if (!(error instanceof SeawallError)) throw error;
  say({ failed: what, kind: error.kind, code: error.code, message: error.message });
  if (error.code === 'FENCED') process.exit(0);
}

const shipper = new Shipper(options);
let helper: number | undefined;
function tellHelper(): void {
  if (shipper.pid === helper) return;
  helper = shipper.pid;
  if (helper !== undefined) say({ helper });
}
// A new helper reports nothing at first, and must also be killed then.
setInterval(tellHelper, 20).unref();
shipper.on('event', (event) => {
  tellHelper();
  if (event.type !== 'segment' && event.type !== 'progress') say({ event });
});

async function place(): Promise<Place> {
  const db = await open(library, path);
  try {
    return db.all('SELECT branch, n FROM stamp, counter')[0] as unknown as Place;
  } finally {
    db.close();
  }
}

let ending = false;
const isEnding = (): boolean => ending;

/** Starts the shipper until it stands. */
async function start(): Promise<void> {
  while (!isEnding()) {
    const before = existsSync(path) ? await place() : undefined;
    const starting = shipper.start();
    tellHelper();
    try {
      await starting;
      if (before !== undefined) say({ safe: before, at: Date.now(), by: 'start' });
      say({ ready: true });
      return;
    } catch (error) {
      failed('start', error);
      await sleep(50);
    }
  }
}

async function syncNowAndThen(every: number): Promise<void> {
  while (!isEnding()) {
    await sleep(every);
    const upTo = await place();
    try {
      const { position } = await shipper.sync();
      say({ safe: upTo, at: Date.now(), by: 'sync', position });
    } catch (error) {
      failed('sync', error);
      tellHelper();
      if (!isEnding() && shipper.pid === undefined) await start();
    }
  }
}

await start();
const syncing = syncEvery === null ? undefined : syncNowAndThen(syncEvery);
if (snapshotAfter !== null) {
  setTimeout(() => {
    shipper.snapshot().catch((error: unknown) => {
      failed('snapshot', error);
    });
  }, snapshotAfter);
}
await carryOut(path, library, scripted(process.stdin));
ending = true;
await syncing;
for (;;) {
  try {
    if (shipper.pid === undefined) {
      ending = false;
      await start();
      ending = true;
    }
    const upTo = await place();
    await shipper.sync();
    say({ safe: upTo, at: Date.now(), by: 'sync' });
    await shipper.stop();
    say({ stopped: true });
    break;
  } catch (error) {
    failed('stop', error);
  }
}
