/**
 * The helper process: does all the work of shipping, so that the app's event loop never waits for it and the app's
 * own SQLite library never meets ours in one process. POSIX file locks belong to a process: if any code in it closes a
 * descriptor of the database, all its locks vanish, and two copies of SQLite in one process do not see each other's.
 *
 * Forked by the handle and detached, so a Ctrl-C for the app does not reach it; it outlives the app long enough to ship
 * what was committed.
 */
import '../../replica/runtime/require-node.ts';
import { SeawallError } from '../../replica/terms/errors.ts';
import { SYSTEM_CLOCK } from '../clock.ts';
import { toPlain } from '../plain-error.ts';
import type { FromHelper, ToHelper } from '../protocol.ts';
import { giveWayToTheApp } from './sharing/priority.ts';
import { PollSchedule } from './sharing/poll-schedule.ts';
import { ShippedDatabase } from './shipped-database.ts';
import { Stores } from './sharing/stores.ts';

giveWayToTheApp();

/** By the number that the handle gave to each. */
const databases = new Map<number, ShippedDatabase>();
const shared = { stores: new Stores(), schedule: new PollSchedule(SYSTEM_CLOCK), clock: SYSTEM_CLOCK };
let ending = false;

// Signals of a terminal or a process group are meant for the app; the handle tells when to stop.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.on('SIGHUP', () => undefined);

process.on('disconnect', () => {
  void end();
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
}

async function carryOut(message: ToHelper): Promise<unknown> {
  const { shipment: number } = message;
  switch (message.ask) {
    case 'start': {
      if (databases.has(number)) throw new SeawallError('refused', 'STARTED', 'the shipper has started already');
      const database = new ShippedDatabase(message.settings, shared, (event) => {
        tell({ tell: 'event', shipment: number, event });
      });
      databases.set(number, database);
      try {
        await database.start(message);
      } catch (error) {
        databases.delete(number);
        throw error;
      }
      return;
    }
    case 'sync':
      return need(number).replicator.sync();
    case 'durable':
      return need(number).replicator.durable();
    case 'snapshot':
      return need(number).replicator.snapshot();
    case 'status':
      return need(number).replicator.status();
    case 'stop':
      try {
        await databases.get(number)?.stop();
      } finally {
        databases.delete(number);
      }
  }
}

function need(number: number): ShippedDatabase {
  const database = databases.get(number);
  if (database === undefined) throw new SeawallError('refused', 'NOT_STARTED', 'the shipper has not started');
  return database;
}

/** The app is gone, or nothing is left to ship. */
async function end(): Promise<void> {
  if (ending) return;
  ending = true;
  await Promise.allSettled([...databases.values()].map((database) => database.stop()));
  process.exit(0);
}

function tell(message: FromHelper): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
