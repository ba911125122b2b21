import { settle, type ShipperOptions } from '../../shipper/options.ts';
import { fromPlain } from '../../shipper/plain-error.ts';
import type { ShipperEvent } from '../../shipper/protocol.ts';
import { Shipper } from '../../shipper/shipper.ts';
import type { Command, Flag } from '../command.ts';
import type { CommandLine } from '../command-line.ts';
import { EXIT, interpret, UsageError } from '../exit-codes.ts';
import { EndRequest } from '../interruption.ts';
import { REPLICA } from '../replica-place.ts';
import { ShipLog } from '../ship-log.ts';

/** The shipper's options, of which each flag is the kebab-case of one. */
const OPTIONS = {
  restore: { value: 'if-missing', help: 'restores the database first when its file is missing' },
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
const OPTION_NAMES = Object.keys(OPTIONS) as readonly OptionName[];

export const shipCommand: Command = {
  name: 'ship',
  summary: 'keeps a running database backed up, for apps in any language; goes on until it is stopped',
  details: [
    'It prints a line that begins with "ready" when the database is safe in the replica as it is now. SIGINT and SIGTERM ' +
      'ship what is left and end with exit code 0; a second signal ends at once. Defaults ' +
      'stand in brackets.',
  ],
  operands: [{ name: 'database', help: 'path of the SQLite database' }, REPLICA],
  flags: {
    ...Object.fromEntries(OPTION_NAMES.map((name) => [kebab(name), OPTIONS[name]])),
    verbose: { short: 'v', help: 'also tells what was shipped, at most one line in each sync interval' },
  },
  examples: [
    { line: `seawall ship app.db 's3://backups/app?region=eu-central-1'`, says: 'beside the app, in its own terminal' },
    {
      line: 'seawall ship /data/app.db ./bucket --restore if-missing --sync-interval 250ms',
      says: 'on a machine whose disk may be new: restore first, then ship',
    },
  ],
  async run(line, terminal) {
    const options = shipperOptions(line);
    const settings = await interpretOptions(() => settle(options));
    const log = new ShipLog(terminal, { verbose: line.has('verbose'), interval: settings.syncInterval });
    using end = new EndRequest((signal) => {
      log.say({ event: 'stopping', signal }, `stopping (${signal}): shipping what is left`);
    });
    const shipper = new Shipper(options);
    const over = overOf(shipper, log, end.signal);
    // Neither the helper nor a handler for signals keeps this process alive.
    const alive = setInterval(() => undefined, 2 ** 30);
    try {
      const starting = interpretOptions(() => shipper.start());
      starting.catch(() => undefined); // when a signal came first
      await Promise.race([starting, over]);
      if (!end.asked()) await sayReady(shipper, log);
      await over;
      await shipper.stop();
      log.sayStopped();
      return EXIT.ok;
    } finally {
      clearInterval(alive);
      await shipper.stop().catch(() => undefined); // the first failure is the one to tell
    }
  },
};

/** Tells what happens. Resolves when a signal asks for the end; rejects when shipping cannot go on. */
function overOf(shipper: Shipper, log: ShipLog, end: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  promise.catch(() => undefined); // when start() is the one to reject
  end.addEventListener('abort', () => {
    resolve(undefined);
  });
  let gaveUp = false;
  let started = false;
  shipper.on('event', (event: ShipperEvent) => {
    if (event.type === 'state') gaveUp ||= event.state === 'fenced' || event.state === 'failed';
    if (event.type === 'generation' || event.type === 'resumed') started = true;
    if (event.type !== 'problem') log.hear(event);
    // The last problem is told once, as the failure of the command; so is one that start() rejects with.
    else if (gaveUp) reject(fromPlain(event.error));
    else if (started) log.hear(event);
  });
  return promise;
}

async function sayReady(shipper: Shipper, log: ShipLog): Promise<void> {
  const { database, replica, generation, position, checksum, pid } = await shipper.status();
  log.say(
    { event: 'ready', database, replica, generation, position, checksum, pid },
    `ready: ${database} is safe at ${replica}, position ${position}`,
  );
}

function shipperOptions(line: CommandLine): ShipperOptions {
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
async function interpretOptions<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await interpret(work);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const names = new RegExp(`\\b(${OPTION_NAMES.join('|')})\\b(?= (must|\\())`, 'g');
    throw new UsageError(error.message.replace(names, (name) => `--${kebab(name)}`));
  }
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
