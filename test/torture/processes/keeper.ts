/**
 * Compaction and retention in a process of their own, which is killed at will: what the functions do, by their own
 * code. Commands come on stdin, one JSON document a line; each answer goes to stdout.
 *
 * Usage: keeper.ts <settings as JSON>
 */
import { createInterface } from 'node:readline';
import { compactDatabases } from '../../../functions/compact/compact-databases.ts';
import type { Log } from '../../../functions/log.ts';
import { sweepDatabase } from '../../../functions/retain/retain-database.ts';
import type { CompactionPolicy } from '../../../replica/compaction/compact.ts';
import type { RetentionPolicy } from '../../../replica/retention/policy.ts';
import { s3Store } from '../../../replica/store/s3/store.ts';
import { sqsEvent } from '../../functions/stage.ts';

export interface KeeperSettings {
  readonly endpoint: string;
  readonly bucket: string;
  /** Folder of the bucket under which the databases lie, with its slash. */
  readonly root: string;
  readonly compaction: CompactionPolicy;
  readonly retention: RetentionPolicy;
  /** Bytes of WAL pages held in memory. */
  readonly memory: number;
}

export type KeeperCommand = { readonly notifications: readonly string[] } | { readonly sweep: string };

export interface KeeperWord {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly facts?: unknown;
}

const settings = JSON.parse(process.argv[2] ?? '{}') as KeeperSettings;
const { endpoint, bucket, root: rootPrefix } = settings;
const say = (level: KeeperWord['level'], message: string, facts?: unknown): void => {
  process.stdout.write(`${JSON.stringify({ level, message, facts } satisfies KeeperWord)}\n`);
};
const word =
  (level: KeeperWord['level']) =>
  (message: string, facts?: unknown): void => {
    say(level, message, facts);
  };
const log: Log = { debug: () => undefined, info: word('info'), warn: word('warn'), error: word('error') };
const common = {
  root: s3Store({ bucket, prefix: rootPrefix, endpoint, region: 'us-east-1' }),
  bucket,
  rootPrefix,
  policy: settings.compaction,
  memory: settings.memory,
  now: Date.now,
  remaining: () => 900_000,
  log,
  metrics: { count: () => undefined, age: () => undefined },
};

say('info', 'ready');
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as KeeperCommand;
  if ('notifications' in command) await compactDatabases(sqsEvent(command.notifications).Records, common);
  else {
    const { signal } = new AbortController();
    // What fails was said by its log; the next sweep makes up for it.
    await sweepDatabase(command.sweep, signal, { ...common, retention: settings.retention }).catch(() => undefined);
  }
}
