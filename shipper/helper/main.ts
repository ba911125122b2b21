/**
 * The helper process: does all the work of shipping, so that the app's event loop never waits for it and the app's
 * own SQLite library never meets ours in one process. Forked by the handle; outlives the app long enough to ship what
 * was committed.
 */
import '../../replica/require-node.ts';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { isKind, SeawallError } from '../../replica/errors.ts';
import { formatChecksum } from '../../replica/format/page-hashes.ts';
import { restore } from '../../replica/restore.ts';
import { openStore } from '../../replica/store/open.ts';
import type { Store } from '../../replica/store/store.ts';
import type { Settings } from '../options.ts';
import { toPlain } from '../plain-error.ts';
import type { FromHelper, ShipperEvent, ToHelper } from '../protocol.ts';
import { LiveDatabase } from './live-database.ts';
import { Replicator } from './replicator.ts';
import { StateLock } from './state-lock.ts';
import { switchToWal } from './wal-mode.ts';

interface Running {
  readonly replicator: Replicator;
  readonly settings: Settings;
  readonly close: () => Promise<void>;
}

let running: Running | undefined;
let stopping: Promise<void> | undefined;
let ending = false;

// Signals of a terminal or a process group are meant for the app; the handle tells when to stop.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.on('SIGHUP', () => undefined);

process.on('disconnect', () => {
  void end(running?.settings.stopTimeout ?? 0);
});

process.on('message', (message: ToHelper) => {
  void answer(message);
});

async function answer(message: ToHelper): Promise<void> {
  try {
    tell({ tell: 'answer', id: message.id, value: await carryOut(message) });
  } catch (error) {
    tell({ tell: 'failure', id: message.id, error: toPlain(error) });
  }
  if (message.ask === 'stop' && process.connected) process.disconnect();
}

async function carryOut(message: ToHelper): Promise<unknown> {
  switch (message.ask) {
    case 'start':
      if (running !== undefined) throw new SeawallError('refused', 'STARTED', 'the helper has started already');
      return start(message.settings);
    case 'sync':
      return need().replicator.sync();
    case 'snapshot':
      return need().replicator.snapshot();
    case 'status':
      return need().replicator.status();
    case 'stop':
      return stop(running?.settings.stopTimeout ?? 0);
  }
}

async function start(settings: Settings): Promise<void> {
  refuseMissing(settings);
  const lock = await StateLock.take(settings.stateFolder, settings.database);
  let store: Store | undefined;
  let live: LiveDatabase | undefined;
  try {
    store = await openStore(settings.replica);
    await bringBack(settings, store);
    live = LiveDatabase.open(settings.database, settings.enableWal ? { prepare: switchToWal } : {});
    const owner = { owner: randomBytes(12).toString('hex'), holder: `${hostname()} process ${process.pid}` };
    const replicator = new Replicator({ settings, store, live, owner, now: Date.now, emit });
    live = undefined; // the replicator's now
    const openedStore = store;
    running = {
      replicator,
      settings,
      close: async () => {
        lock.release();
        await openedStore.close();
      },
    };
    await replicator.start('start');
  } catch (error) {
    const failed = running;
    running = undefined;
    await failed?.replicator.stop(0).catch(() => undefined);
    live?.close();
    lock.release();
    await store?.close();
    throw error;
  }
}

function refuseMissing({ database: path, restore: mode }: Settings): void {
  if (mode === 'if-missing' || existsSync(path)) return;
  const hint = "create it first, or set restore: 'if-missing'";
  throw new SeawallError('missing', 'DATABASE_MISSING', `${path} does not exist; ${hint}`, { path });
}

/** Temporary files of a restore that was killed. Nobody else restores to this path: the lock is held. */
function removeLeftovers(path: string): void {
  const folder = dirname(path);
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    if (name.startsWith(`.${basename(path)}.seawall-`)) rmSync(join(folder, name), { force: true });
  }
}

/** Restores a missing database first, when that was asked for; where the replica is empty too, the app begins anew. */
async function bringBack(settings: Settings, store: Store): Promise<void> {
  const path = settings.database;
  if (existsSync(path)) return;
  removeLeftovers(path);
  try {
    const restored = await restore(store, path, {
      onProgress: (done, total) => {
        emit({ type: 'progress', what: 'restore', done, ...(total !== undefined && { total }) });
      },
    });
    const { position, checksum, pages, bytes } = restored;
    emit({ type: 'restored', position, checksum: formatChecksum(checksum), pages, bytes });
  } catch (error) {
    if (!isKind(error, 'missing') || (error.code !== 'REPLICA_EMPTY' && error.code !== 'NO_SNAPSHOT')) throw error;
    switchToWal(path, false);
  }
}

function need(): Running {
  if (running === undefined) throw new SeawallError('refused', 'NOT_STARTED', 'the shipper has not started');
  return running;
}

function stop(timeout: number): Promise<void> {
  stopping ??= (async () => {
    const last = running;
    running = undefined;
    if (last === undefined) return;
    try {
      await last.replicator.stop(timeout);
    } finally {
      await last.close();
    }
  })();
  return stopping;
}

async function end(timeout: number): Promise<void> {
  if (ending) return;
  ending = true;
  await stop(timeout).catch(() => undefined);
  process.exit(0);
}

function emit(event: ShipperEvent): void {
  tell({ tell: 'event', event });
}

function tell(message: FromHelper): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
