/**
 * What the tests of `seawall restore --lambda` stand on: the real handler behind a Lambda of the tests' own, its link
 * fetched from their S3. Importing it sets the scene and ends it after the tests of the file.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before } from 'node:test';
import { scoped } from '../../replica/store/scoped.ts';
import { startLambdaServer } from '../functions/lambda-server.ts';
import { BUCKET, setStage } from '../functions/stage.ts';
import { latestState } from '../history/expect.ts';
import { buildHistory, type History } from '../history/history.ts';
import { Scratch } from '../history/scratch.ts';
import { startS3Server } from '../s3-server/index.ts';
import { errorOf, seawallJson, type Json } from './seawall.ts';

/** Milliseconds by which the clock of S3 is ahead. */
let clockAhead = 0;
export const s3 = await startS3Server({ buckets: [BUCKET], now: () => Date.now() + clockAhead });
const stage = await setStage({ SEAWALL_ROOT: 'dbs/' }, s3);
export const { handler } = await import('../../functions/restore/handler.ts');
export const lambda = await startLambdaServer({ 'backup-restore': handler });
export const scratch = new Scratch();
export const env = { AWS_ENDPOINT_URL_LAMBDA: lambda.endpoint, AWS_REGION: undefined, AWS_MAX_ATTEMPTS: '5' };
export const BY_FUNCTION = ['restore', '--lambda', 'backup-restore', '--region', 'us-east-1', '--database', 'app'];
export let history: History;
/** Bytes of its latest state. */
export let size: number;

before(async () => {
  const workload = { largest: 2_000_000, most: 8_000_000 };
  const options = { codec: 'lz4', control: true, cut: { notRestorable: 0 }, workload } as const;
  history = await buildHistory(scoped(stage.root, 'app'), { ...options, seed: 9501, commits: 25, pageSize: 4096 });
  size = latestState(history).pages * 4096;
  assert.ok(size > 2 << 20, `${size} bytes are several pieces`);
});
after(async () => {
  scratch[Symbol.dispose]();
  await lambda[Symbol.asyncDispose]();
  await stage[Symbol.asyncDispose]();
});
afterEach(() => {
  s3.faults.clear();
  clockAhead = 0;
  lambda.onAnswer = () => undefined;
  lambda.invocations.length = 0;
});

export function putClockAhead(milliseconds: number): void {
  clockAhead = milliseconds;
}

let targets = 0;

/** A path in a folder of its own. */
export function newTarget(): { readonly path: string; readonly left: () => string[] } {
  const folder = mkdtempSync(join(scratch.path, 'target-'));
  targets++;
  return { path: join(folder, `app-${targets}.db`), left: () => readdirSync(folder) };
}

export const isDownload = ({ op, key }: { readonly op: string; readonly key?: string | undefined }): boolean =>
  op === 'GetObject' && key?.startsWith('restores/') === true;

/** Fails with this error, and nothing is left at the target or beside it. */
export async function failsWith(exitCode: number, kind: string, code: string, ...more: string[]): Promise<Json> {
  const { path, left } = newTarget();
  const error = errorOf(await seawallJson([...BY_FUNCTION, '-o', path, ...more], exitCode, { env }));
  assert.deepEqual([error['kind'], error['code']], [kind, code], JSON.stringify(error));
  assert.deepEqual(left(), []);
  return error;
}
