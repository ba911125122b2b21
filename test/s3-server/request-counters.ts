import { OPERATION_NAMES, type OperationName } from './operation.ts';

/** Requests by operation, counted when they arrive whatever becomes of them, and bytes of bodies in and out. */
export type RequestCounters = Record<OperationName | 'bytesIn' | 'bytesOut', number>;

export function newCounters(): RequestCounters {
  const zero = Object.fromEntries(OPERATION_NAMES.map((name) => [name, 0])) as Record<OperationName, number>;
  return { ...zero, bytesIn: 0, bytesOut: 0 };
}

/** In place, so that a test may keep hold of the counters. */
export function resetCounters(counters: RequestCounters): void {
  Object.assign(counters, newCounters());
}
