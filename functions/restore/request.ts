/** The payload of the restore function. */
import { assertKey } from '../../replica/store/keys.ts';
import { formatTime, parseTarget, type Target } from '../../replica/terms/target.ts';
import { badInput } from '../failure.ts';
import { isRecord } from '../sqs-event.ts';

export interface RestoreRequest {
  /** Below the root; '' for a replica that is the root itself. */
  readonly database: string;
  readonly at: Target;
  /** Key in the bucket; undefined if the function chooses it. */
  readonly target: string | undefined;
  readonly verify: 'checksum' | 'integrity';
  readonly dryRun: boolean;
}

const FIELDS = ['database', 'at', 'target', 'verify', 'dryRun'] as const;

/**
 * Reads the invocation's payload. Throws a failure of kind `input` that names the field, its value and what is allowed.
 *
 * @param restores the prefix of the keys of restored databases
 */
export function parseRequest(event: unknown, restores: string, now: number): RestoreRequest {
  if (!isRecord(event)) {
    throw badInput('REQUEST', `a restore is asked for with an object such as {"database":"app"}, not ${show(event)}`);
  }
  const unknown = Object.keys(event).filter((name) => !FIELDS.some((field) => field === name));
  if (unknown.length > 0) {
    const names = unknown.map((name) => JSON.stringify(name)).join(', ');
    throw badInput('UNKNOWN_FIELD', `a restore has no field ${names}; allowed are ${FIELDS.join(', ')}`);
  }
  const { dryRun = false, verify = 'checksum' } = event;
  if (typeof dryRun !== 'boolean') throw badInput('DRY_RUN', `dryRun must be true or false, not ${show(dryRun)}`);
  if (verify !== 'checksum' && verify !== 'integrity') {
    throw badInput('VERIFY', `verify must be "checksum" or "integrity", not ${show(verify)}`);
  }
  return {
    database: databaseOf(event['database']),
    at: pointOf(event['at'] ?? 'latest', now),
    target: event['target'] === undefined ? undefined : targetOf(event['target'], restores),
    verify,
    dryRun,
  };
}

function databaseOf(value: unknown): string {
  if (typeof value !== 'string') {
    throw badInput('DATABASE', `database must be the name of a database, such as "app", not ${show(value)}`);
  }
  if (value !== '') assertName('DATABASE', 'database', value);
  return value;
}

function pointOf(value: unknown, now: number): Target {
  if (typeof value !== 'string') throw badInput('AT', `at must be a text, not ${show(value)}`);
  let target: Target;
  try {
    target = parseTarget(value);
  } catch (error) {
    throw badInput('AT', `at is ${(error as Error).message}`);
  }
  if (target.kind === 'time' && target.time > now) {
    throw badInput('FUTURE_TIME', `at is ${value}, which is in the future: it is ${formatTime(now)} now`);
  }
  return target;
}

function targetOf(value: unknown, restores: string): string {
  if (typeof value !== 'string') throw badInput('TARGET', `target must be a key in the bucket, not ${show(value)}`);
  assertName('TARGET', 'target', value);
  if (!value.startsWith(restores) || value === restores) {
    throw badInput('TARGET', `target must be a key that begins with ${show(restores)}, not ${show(value)}`);
  }
  return value;
}

/** Refuses what could leave the place it is meant for. */
function assertName(code: string, field: string, value: string): void {
  try {
    assertKey(value);
  } catch (error) {
    throw badInput(code, `${field} is ${(error as Error).message}`);
  }
}

function show(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 200);
}
