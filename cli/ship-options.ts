/** The shipper's options as flags of a command. */
import type { ShipperOptions } from '../shipper/options.ts';
import type { Flag } from './command-shape.ts';
import type { CommandLine } from './command-line.ts';
import { interpret, UsageError } from './exit-codes.ts';

/** The shipper's options. The flag of each is its name in kebab case. */
export const OPTIONS = {
  restore: { value: 'if-missing', help: 'restore the database first if its file is missing' },
  whenUnreachable: {
    value: 'retry|reject',
    default: 'reject',
    help: 'whether a start goes on trying if the store is unreachable',
  },
  enableWal: { default: 'otherwise refused', help: 'switch a database in another journal mode to WAL' },
  allowNetworkFileSystem: {
    default: 'otherwise refused',
    help: 'ship from NFS, SMB, FUSE or the like; all processes must run on this machine',
  },
  syncInterval: { value: 'duration', default: '1s', help: 'longest wait of a commit before its upload begins' },
  checkpointAt: {
    value: 'size',
    default: '4MiB',
    help: 'WAL length at which the WAL is copied into the database file, without blocking anyone',
  },
  sealAt: {
    value: 'size',
    default: '16MiB',
    help: 'WAL length at which the shipper ends an index, under the write lock, for milliseconds',
  },
  sealInterval: {
    value: 'duration',
    default: '1h',
    help: 'age at which the shipper ends an index, so that compaction can use it',
  },
  shrinkAt: { value: 'size', default: '500MB', help: 'size of the WAL file at which it is truncated' },
  segmentSize: { value: 'size', default: '4MiB', help: 'largest segment, before compression' },
  stagingLimit: { value: 'size', default: '1GiB', help: 'most disk space for segments while the store is unreachable' },
  heartbeat: { value: 'duration', default: '5m', help: 'how often the replica is marked as complete; 0: never' },
  retryMax: {
    value: 'duration',
    default: '30s',
    help: 'longest pause between attempts while the store is unreachable',
  },
  stopTimeout: { value: 'duration', default: '60s', help: 'how long uploading goes on after a signal to stop' },
  codec: {
    value: 'lz4|zstd',
    default: 'lz4',
    help: 'compression: lz4 can be restored by Litestream, zstd is about a quarter smaller',
  },
  zstdLevel: { value: '1-19', default: '1', help: 'compression level, for zstd only' },
  stateFolder: { value: 'folder', default: '<database>-seawall', help: 'folder for staging, state and lock' },
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

/** Runs `work`. In a message that names an option of the shipper, names the flag instead. */
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
