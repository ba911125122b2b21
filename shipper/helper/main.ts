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
import { Shipment } from './shipment.ts';
import { Stores } from './sharing/stores.ts';

giveWayToTheApp();

/** By the number that the handle gave each. */
const shipments = new Map<number, Shipment>();
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
      if (shipments.has(number)) throw new SeawallError('refused', 'STARTED', 'the shipper has started already');
      const shipment = new Shipment(message.settings, shared, (event) => {
        tell({ tell: 'event', shipment: number, event });
      });
      shipments.set(number, shipment);
      try {
        await shipment.start(message);
      } catch (error) {
        shipments.delete(number);
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
        await shipments.get(number)?.stop();
      } finally {
        shipments.delete(number);
      }
  }
}

function need(number: number): Shipment {
  const shipment = shipments.get(number);
  if (shipment === undefined) throw new SeawallError('refused', 'NOT_STARTED', 'the shipper has not started');
  return shipment;
}

/** The app is gone, or nothing is left to ship. */
async function end(): Promise<void> {
  if (ending) return;
  ending = true;
  await Promise.allSettled([...shipments.values()].map((shipment) => shipment.stop()));
  process.exit(0);
}

function tell(message: FromHelper): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
