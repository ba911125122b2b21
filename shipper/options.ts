/** The shipper's options: defaults, then validation, then one plain value that crosses into the helper process. */
import { resolve } from 'node:path';
import { ZSTD_LEVELS } from '../replica/format/codec.ts';
import { MAX_SEGMENT_RAW } from '../replica/format/segment.ts';
import type { CodecName } from '../replica/terms/layout.ts';
import { parseDuration, parseSize } from '../replica/terms/units.ts';

/** Durations are milliseconds or text such as '1s'; sizes are bytes or text such as '4MiB'. */
export interface ShipperOptions {
  /** Path of the SQLite database. */
  readonly database: string;
  /** The replica, which the backup is written to: `s3://bucket/prefix?region=…`, `file:///path`, or a path. */
  readonly replica: string;
  /**
   * What `start()` does when the database file does not exist: `if-missing` restores the latest state first, or makes
   * an empty database if the replica is empty too; `never` refuses to start. Default `never`.
   */
  readonly restore?: 'if-missing' | 'never';
  /**
   * What `start()` does when the store cannot be reached though the database is there: `retry` resolves, so that the
   * app runs, and goes on trying; the backup begins when the store answers. A wrong configuration (no permission, no
   * such bucket) still rejects if the store says so within three seconds. `reject` (default) rejects.
   */
  readonly whenUnreachable?: 'retry' | 'reject';
  /** Switches a database in another journal mode to WAL at start. Default false: such a database is refused. */
  readonly enableWal?: boolean;
  /**
   * Ships a database from a file system that looks like a network's (NFS, SMB, FUSE and others), where SQLite's WAL
   * mode works only if all processes run on one machine and share memory and locks. Default false: it is refused.
   */
  readonly allowNetworkFileSystem?: boolean;
  /**
   * The longest time a commit waits before its upload begins. Smaller loses less in a disaster, and costs more PUTs.
   * Default '1s'.
   */
  readonly syncInterval?: string | number;
  /** WAL not yet copied into the database file at which the shipper copies it, blocking nobody. Default '4MiB'. */
  readonly checkpointAt?: string | number;
  /**
   * WAL length at which the shipper ends an index at once, under the write lock, for milliseconds; from 500 frames on
   * it ends with the next upload. Default '16MiB'.
   */
  readonly sealAt?: string | number;
  /** Age at which an index is ended, so that compaction can use it. Default '1h'. */
  readonly sealInterval?: string | number;
  /** Size of the WAL file on disk at which it is truncated. Default '500MB'. */
  readonly shrinkAt?: string | number;
  /** Most raw bytes of one segment; a larger transaction takes several. Default '4MiB'. */
  readonly segmentSize?: string | number;
  /** Disk that captured segments may take while the store is away. Beyond it they are dropped. Default '1GiB'. */
  readonly stagingLimit?: string | number;
  /** How often the head object is renewed, from which the backup's age is judged. 0 never. Default '5m'. */
  readonly heartbeat?: string | number;
  /** Longest pause between two tries while the store is away. Default '30s'. */
  readonly retryMax?: string | number;
  /** How long the helper goes on uploading after `stop()` or the app's death. Default '60s'. */
  readonly stopTimeout?: string | number;
  /** `lz4` (default; Litestream can restore it) or `zstd` (about a quarter smaller). */
  readonly codec?: CodecName;
  /** zstd only, 1 (default) to 19. */
  readonly zstdLevel?: number;
  /** Folder for staging, state and lock. Default: `<database>-seawall`, beside the database. */
  readonly stateFolder?: string;
}

/** The options with defaults filled in: paths absolute, durations in milliseconds, sizes in bytes. */
export interface Settings {
  readonly database: string;
  readonly replica: string;
  readonly restore: 'if-missing' | 'never';
  readonly whenUnreachable: 'retry' | 'reject';
  readonly enableWal: boolean;
  readonly allowNetworkFileSystem: boolean;
  readonly syncInterval: number;
  readonly checkpointAt: number;
  readonly sealAt: number;
  readonly sealInterval: number;
  readonly shrinkAt: number;
  readonly segmentSize: number;
  readonly stagingLimit: number;
  readonly heartbeat: number;
  readonly retryMax: number;
  readonly stopTimeout: number;
  readonly codec: CodecName;
  readonly zstdLevel: number;
  readonly stateFolder: string;
}

const DEFAULTS = {
  restore: 'never',
  whenUnreachable: 'reject',
  enableWal: false,
  allowNetworkFileSystem: false,
  syncInterval: '1s',
  checkpointAt: '4MiB',
  sealAt: '16MiB',
  sealInterval: '1h',
  shrinkAt: '500MB',
  segmentSize: '4MiB',
  stagingLimit: '1GiB',
  heartbeat: '5m',
  retryMax: '30s',
  stopTimeout: '60s',
  codec: 'lz4',
  zstdLevel: ZSTD_LEVELS.least,
} as const;

const KNOWN = new Set(['database', 'replica', 'stateFolder', ...Object.keys(DEFAULTS)]);

/** Throws a TypeError or RangeError that names the option, its value and what is allowed. */
export function settle(options: ShipperOptions): Settings {
  if (typeof options !== 'object') throw new TypeError('options must be an object with at least database and replica');
  for (const name of Object.keys(options)) {
    if (!KNOWN.has(name)) throw new TypeError(`unknown option ${name}; known are ${[...KNOWN].join(', ')}`);
  }
  const merged = { ...DEFAULTS, ...withoutUndefined(options) };
  const database = databasePath(text(merged.database, 'database'));
  const settings: Settings = {
    database,
    replica: replicaPlace(text(merged.replica, 'replica')),
    restore: oneOf(merged.restore, 'restore', ['if-missing', 'never']),
    whenUnreachable: oneOf(merged.whenUnreachable, 'whenUnreachable', ['retry', 'reject']),
    enableWal: flag(merged.enableWal, 'enableWal'),
    allowNetworkFileSystem: flag(merged.allowNetworkFileSystem, 'allowNetworkFileSystem'),
    syncInterval: within(parseDuration(merged.syncInterval, 'syncInterval'), 'syncInterval', 10, 3_600_000, 'ms'),
    checkpointAt: within(parseSize(merged.checkpointAt, 'checkpointAt'), 'checkpointAt', 64 << 10, 2 ** 40, 'bytes'),
    sealAt: within(parseSize(merged.sealAt, 'sealAt'), 'sealAt', 64 << 10, 2 ** 40, 'bytes'),
    sealInterval: within(
      parseDuration(merged.sealInterval, 'sealInterval'),
      'sealInterval',
      100,
      30 * 86_400_000,
      'ms',
    ),
    shrinkAt: within(parseSize(merged.shrinkAt, 'shrinkAt'), 'shrinkAt', 1 << 20, 2 ** 50, 'bytes'),
    segmentSize: within(
      parseSize(merged.segmentSize, 'segmentSize'),
      'segmentSize',
      64 << 10,
      MAX_SEGMENT_RAW / 2,
      'bytes',
    ),
    stagingLimit: within(parseSize(merged.stagingLimit, 'stagingLimit'), 'stagingLimit', 0, 2 ** 50, 'bytes'),
    heartbeat: within(parseDuration(merged.heartbeat, 'heartbeat'), 'heartbeat', 0, 86_400_000, 'ms'),
    retryMax: within(parseDuration(merged.retryMax, 'retryMax'), 'retryMax', 10, 3_600_000, 'ms'),
    stopTimeout: within(parseDuration(merged.stopTimeout, 'stopTimeout'), 'stopTimeout', 0, 86_400_000, 'ms'),
    codec: oneOf(merged.codec, 'codec', ['lz4', 'zstd']),
    zstdLevel: within(number(merged.zstdLevel, 'zstdLevel'), 'zstdLevel', ZSTD_LEVELS.least, ZSTD_LEVELS.most, ''),
    stateFolder: resolve(
      options.stateFolder === undefined ? `${database}-seawall` : text(options.stateFolder, 'stateFolder'),
    ),
  };
  if (settings.sealAt < settings.checkpointAt) {
    throw new RangeError(
      `sealAt (${settings.sealAt} bytes) must not be below checkpointAt (${settings.checkpointAt} bytes)`,
    );
  }
  return settings;
}

function withoutUndefined(options: ShipperOptions): ShipperOptions {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as unknown as ShipperOptions;
}

/** A path, or a `file:` URL as SQLite takes it. A database in memory has no file that could be shipped. */
function databasePath(value: string): string {
  const [name = '', query = ''] = value.startsWith('file:') ? value.slice('file:'.length).split(/[?#]/) : [value];
  if (name === ':memory:' || name === '' || /(^|&)mode=memory(&|$)/.test(query)) {
    throw new TypeError(`database must be a file, not a database in memory (${JSON.stringify(value)})`);
  }
  if (!value.startsWith('file:')) return resolve(value);
  return resolve(decodeURIComponent(name.replace(/^\/\/(localhost)?(?=\/)/, '')));
}

/** A relative path is that of the folder in which the shipper was made, as the database's is. */
function replicaPlace(value: string): string {
  return /^[a-z][a-z0-9+.-]*:/i.test(value) ? value : resolve(value);
}

function text(value: unknown, option: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new TypeError(`${option} must be a non-empty string, not ${JSON.stringify(value)}`);
}

function number(value: unknown, option: string): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw new TypeError(`${option} must be a number, not ${JSON.stringify(value)}`);
}

function flag(value: unknown, option: string): boolean {
  if (typeof value === 'boolean') return value;
  throw new TypeError(`${option} must be true or false, not ${JSON.stringify(value)}`);
}

function oneOf<const T extends string>(value: unknown, option: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw new RangeError(`${option} must be one of ${allowed.join(', ')}, not ${JSON.stringify(value)}`);
}

function within(value: number, option: string, least: number, most: number, unit: string): number {
  if (value >= least && value <= most) return value;
  throw new RangeError(`${option} must lie between ${least} and ${most} ${unit}, not ${value}`.trim());
}
