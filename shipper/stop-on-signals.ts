/** Ends an app on a signal: first the app's own work, then the shipper, then the process, by that same signal. */
import { constants } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import { SeawallError } from '../replica/terms/errors.ts';

/** Which signals end the shipping, and how. */
export interface StopOnSignalsOptions {
  /** Signals to obey. Default: SIGTERM and SIGINT. */
  readonly signals?: readonly NodeJS.Signals[];
  /**
   * Called first, with the signal: stop taking requests and close the database here. What it commits is shipped. If it
   * throws, the shipper is still stopped.
   */
  readonly before?: (signal: NodeJS.Signals) => unknown;
  /** Called with the error if `before` or the stop fails. Default: it is written to stderr. */
  readonly onError?: (error: unknown) => void;
}

/**
 * After the first signal, further ones count only after so many milliseconds: terminals, process groups and supervisors
 * send the same signal twice.
 */
const DEAF = 500;

/**
 * On a signal, awaits `before`, then `stop`, and ends the process by the same signal, so that whoever started it sees
 * why it ended. A second signal ends it at once; the helper process ships the rest. Returns a function that removes the
 * handlers.
 *
 * Throws `refused` (NOT_MAIN_THREAD) in a worker thread: signals do not reach it.
 */
export function stopOnSignals(stop: () => Promise<void>, options: StopOnSignalsOptions = {}): () => void {
  const { signals = ['SIGTERM', 'SIGINT'], before, onError = complain } = options;
  if (!isMainThread) {
    throw new SeawallError('refused', 'NOT_MAIN_THREAD', 'signals reach the main thread only: call this there');
  }
  let asked: number | undefined;
  const handle = (signal: NodeJS.Signals): void => {
    if (asked === undefined) {
      asked = performance.now();
      void end(signal);
    } else if (performance.now() - asked >= DEAF) die(signal);
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    for (const step of [before && (() => before(signal)), stop]) {
      try {
        await step?.();
      } catch (error) {
        onError(error);
      }
    }
    die(signal);
  };
  const remove = (): void => {
    for (const signal of signals) process.off(signal, handle);
  };
  const die = (signal: NodeJS.Signals): void => {
    remove();
    if (process.listenerCount(signal) > 0) return; // somebody else ends the process
    // The kernel does not deliver a signal to process 1 that has no handler.
    if (process.pid === 1) process.exit(128 + constants.signals[signal]);
    process.kill(process.pid, signal);
  };
  for (const signal of signals) process.on(signal, handle);
  return remove;
}

function complain(error: unknown): void {
  console.error(error);
}
