import { OPERATION_NAMES, type OperationName } from './operation.ts';

/** Requests by operation, counted when they arrive, whatever their outcome, and bytes of bodies in and out. */
export type RequestCounters = Record<OperationName | 'bytesIn' | 'bytesOut', number>;

export function newCounters(): RequestCounters {
  const zero = Object.fromEntries(OPERATION_NAMES.map((name) => [name, 0])) as Record<OperationName, number>;
  return { ...zero, bytesIn: 0, bytesOut: 0 };
}

/** Changes the counters in place, so that a test may keep a reference to them. */
export function resetCounters(counters: RequestCounters): void {
  Object.assign(counters, newCounters());
}
