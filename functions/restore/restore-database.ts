/** Restores a database into an object of the bucket, or says how it would. */
import type { Proof } from '../../replica/image/image-proof.ts';
import { choose } from '../../replica/restore/choose.ts';
import type { Restorable } from '../../replica/restore/restorable.ts';
import { restoreToObject, type RestoredObject } from '../../replica/restore/restore-to-object.ts';
import { restoredFacts, type RestoredFacts } from '../../replica/restore/restored-facts.ts';
import { scoped } from '../../replica/store/scoped.ts';
import { stoppable } from '../../replica/store/stoppable.ts';
import type { Store } from '../../replica/store/store.ts';
import { formatTime } from '../../replica/terms/target.ts';
import { Deadline } from '../deadline.ts';
import { outward } from '../failure.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { ScratchCopy } from './scratch-copy.ts';
import { parseRequest, type RestoreRequest } from './request.ts';

export interface RestoreDeps {
  /** The store that holds the databases. */
  readonly root: Store;
  /** The store that restored files are written to: the whole bucket. */
  readonly target: Store;
  readonly bucket: string;
  /** What keys of restored databases begin with; ends with a slash. */
  readonly restores: string;
  /** A URL by which a key can be fetched for an hour. */
  readonly presign: (key: string) => Promise<string>;
  readonly memory: number;
  readonly now: () => number;
  /** Sixteen hex digits that nobody guesses. */
  readonly unique: () => string;
  /** Milliseconds until the function is ended. */
  readonly remaining: () => number;
  readonly margin?: number;
  readonly scratch: { readonly folder: string; readonly room: () => Promise<number> };
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Times are RFC 3339, sizes bytes. */
export interface RestoreAnswer extends RestoredFacts {
  readonly dryRun: false;
  readonly database: string;
  readonly seconds: number;
  readonly bucket: string;
  readonly key: string;
  /** Good for an hour, or as long as the function's credentials if that is shorter. */
  readonly url: string;
  readonly verification: 'checksum' | 'integrity';
}

export interface RestorePlanAnswer {
  readonly dryRun: true;
  readonly database: string;
  readonly position: string;
  readonly time: string;
  /** Null where another program wrote the replica and recorded none. */
  readonly pages: number | null;
  readonly pageSize: number;
  readonly bytes: number | null;
  readonly snapshot: string;
  readonly segments: number;
  /** Stored bytes to be read. */
  readonly reads: number;
  /** What the restored file will be proven by. */
  readonly proof: Proof;
}

/** Throws FunctionFailure: of kind `input` if the payload is wrong, otherwise of the kind of the error. */
export async function restoreDatabase(event: unknown, deps: RestoreDeps): Promise<RestoreAnswer | RestorePlanAnswer> {
  using deadline = new Deadline(deps.remaining, deps.margin);
  try {
    const request = parseRequest(event, deps.restores, deps.now());
    const answer = await answerTo(request, deadline.signal, deps);
    if (!answer.dryRun) deps.metrics.count('Restores', 1);
    return answer;
  } catch (error) {
    deps.metrics.count('RestoreFailed', 1);
    throw outward(error);
  }
}

async function answerTo(
  request: RestoreRequest,
  signal: AbortSignal,
  deps: RestoreDeps,
): Promise<RestoreAnswer | RestorePlanAnswer> {
  const { database } = request;
  const { log, memory } = deps;
  const began = deps.now();
  const store = scoped(stoppable(deps.root, signal), database);
  const state = await choose(store, request.at);
  if (request.dryRun) return planned(database, state, memory);
  const { position, time } = state;
  const key = request.target ?? `${deps.restores}${defaultName(database, state)}-${deps.unique()}.db`;
  log.info('restoring', { database, position, time: formatTime(time), key });
  const target = stoppable(deps.target, signal);
  const restored =
    request.verify === 'integrity'
      ? await restoreChecked(database, state, target, key, deps)
      : await restoreToObject(state, target, key, { memory, onProgress: progress(log, database) });
  const seconds = (deps.now() - began) / 1000;
  const facts = {
    database,
    ...restoredFacts(state, restored),
    seconds,
    bucket: deps.bucket,
    key,
    verification: request.verify,
  };
  log.info('restored', facts);
  return { dryRun: false, ...facts, url: await deps.presign(key) };
}

/**
 * Also writes the pages to the function's disk. The object becomes visible in the bucket only if SQLite's own check
 * passes.
 */
async function restoreChecked(
  database: string,
  state: Restorable,
  target: Store,
  key: string,
  { memory, log, scratch }: RestoreDeps,
): Promise<RestoredObject> {
  const { bytes = state.base.size } = await state.toFile();
  await using copy = await ScratchCopy.in(scratch.folder, bytes, await scratch.room());
  return await restoreToObject(state, target, key, {
    memory,
    onProgress: progress(log, database),
    tee: (piece, offset) => copy.write(piece, offset),
    accept: () => copy.check(),
  });
}

/** Reads the WAL, but no page of the snapshot. */
async function planned(database: string, state: Restorable, memory: number): Promise<RestorePlanAnswer> {
  const { pages, pageSize, position } = await state.open(memory);
  return {
    dryRun: true,
    database,
    position,
    time: formatTime(state.time),
    pages: pages ?? null,
    pageSize,
    bytes: pages === undefined ? null : pages * pageSize,
    snapshot: state.base.key,
    segments: state.more.objects,
    reads: state.base.size + state.more.bytes,
    proof: state.proof,
  };
}

/** `app/3f…00000004-00000000`: slashes become dashes, because each would begin a folder. */
function defaultName(database: string, { position, time }: Restorable): string {
  const folder = database === '' ? '' : `${database}/`;
  // The end of an index has no offset, so the file is named by its time.
  const place = /\/[0-9a-f]{11,}$/.test(position) ? formatTime(time) : position;
  return `${folder}${place.replaceAll(/[/:]/g, '-')}`;
}

/** Logs each tenth of the work. */
function progress(log: Log, database: string): (done: number, total: number | undefined) => void {
  let told = 0;
  return (done, total) => {
    if (total === undefined) return;
    const tenths = Math.floor((10 * done) / total);
    if (tenths <= told) return;
    told = tenths;
    log.info('restoring', { database, percent: tenths * 10, bytes: done, of: total });
  };
}
