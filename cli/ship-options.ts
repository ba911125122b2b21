/** The shipper's options as flags of a command. */
import type { ShipperOptions } from '../shipper/options.ts';
import type { Flag } from './command-shape.ts';
import type { CommandLine } from './command-line.ts';
import { interpret, UsageError } from './exit-codes.ts';

/** The shipper's options, of which each flag is the kebab-case of one. */
export const OPTIONS = {
  restore: { value: 'if-missing', help: 'restores the database first when its file is missing' },
  whenUnreachable: {
    value: 'retry|reject',
    default: 'reject',
    help: 'whether a start without the store goes on trying',
  },
  enableWal: { default: 'refused otherwise', help: 'switches a database in another journal mode to WAL' },
  allowNetworkFileSystem: {
    default: 'refused otherwise',
    help: 'ships from NFS, SMB, FUSE and the like, where all processes must run on this machine',
  },
  syncInterval: { value: 'duration', default: '1s', help: 'how long a commit waits at most before its upload begins' },
  checkpointAt: {
    value: 'size',
    default: '4MiB',
    help: 'WAL at which it is copied into the database file, blocking nobody',
  },
  sealAt: {
    value: 'size',
    default: '16MiB',
    help: 'WAL at which an index is ended under the write lock, for milliseconds',
  },
  sealInterval: {
    value: 'duration',
    default: '1h',
    help: 'age at which an index is ended, so that compaction can use it',
  },
  shrinkAt: { value: 'size', default: '500MB', help: 'size of the WAL file at which it is truncated' },
  segmentSize: { value: 'size', default: '4MiB', help: 'raw bytes of one segment, at most' },
  stagingLimit: { value: 'size', default: '1GiB', help: 'disk that segments may take while the store is away' },
  heartbeat: { value: 'duration', default: '5m', help: 'how often the replica is told that all is in it; 0 never' },
  retryMax: { value: 'duration', default: '30s', help: 'longest pause between two tries while the store is away' },
  stopTimeout: { value: 'duration', default: '60s', help: 'how long to go on uploading after a signal to stop' },
  codec: {
    value: 'lz4|zstd',
    default: 'lz4',
    help: 'lz4 can be restored by Litestream, zstd is about a quarter smaller',
  },
  zstdLevel: { value: '1-19', default: '1', help: 'zstd only' },
  stateFolder: { value: 'folder', default: '<database>-seawall', help: 'for staging, state and lock' },
} as const satisfies Readonly<Record<Exclude<keyof ShipperOptions, 'database' | 'replica'>, Flag>>;

type OptionName = keyof typeof OPTIONS;
export const OPTION_NAMES = Object.keys(OPTIONS) as readonly OptionName[];

export function shipperOptions(line: CommandLine): ShipperOptions {
  const given: Record<string, unknown> = { database: line.operand(0), replica: line.operand(1) };
  for (const name of OPTION_NAMES) {
    const flag = kebab(name);
    if (!line.has(flag)) continue;
    const value = line.text(flag);
    if (value === undefined) given[name] = true;
    else if (name === 'zstdLevel') given[name] = line.count(flag, 1);
    else given[name] = value === '0' ? 0 : value;
  }
  return given as unknown as ShipperOptions;
}

/** Names the flags where the shipper's messages name its options. */
export async function interpretOptions<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await interpret(work);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const names = new RegExp(`\\b(${OPTION_NAMES.join('|')})\\b(?= (must|\\())`, 'g');
    throw new UsageError(error.message.replace(names, (name) => `--${kebab(name)}`));
  }
}

export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
