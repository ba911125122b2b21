import { existsSync } from 'node:fs';
import { hasWildcard } from '../../shipper/folder-watch.ts';
import { settle } from '../../shipper/options.ts';
import { fromPlain } from '../../shipper/plain-error.ts';
import type { ShipperEvent } from '../../shipper/protocol.ts';
import { Shipper } from '../../shipper/shipper.ts';
import type { Command } from '../command.ts';
import { AppProcess } from '../app-process.ts';
import { metricsAddress, openControl } from '../control/open.ts';
import { ControlServer } from '../control/server.ts';
import { EXIT, UsageError } from '../exit-codes.ts';
import { EndRequest } from '../interruption.ts';
import { REPLICA } from '../replica-place.ts';
import { ShipLog } from '../report/ship-log.ts';
import { interpretOptions, kebab, OPTION_NAMES, OPTIONS, shipperOptions } from '../ship-options.ts';
import { shipFolder } from '../ship-folder.ts';

export const shipCommand: Command = {
  name: 'ship',
  summary: 'backs up a running database continuously, for apps in any language, until it is stopped',
  details: [
    'It prints a line that begins with "ready" as soon as the current database is safe in the replica. After SIGINT or ' +
      'SIGTERM it ships what is left and ends with exit code 0; a second signal ends it at once. Defaults are in brackets.',
    "A quoted pattern such as 'data/*.db' ships every database that matches it, in one process, including those that " +
      'are created later, until they are removed. Each goes to <replica>/{name}; to put it elsewhere, write {name} or ' +
      '{path} into the replica. If one fails, the failure is printed and tried again, and the others go on.',
  ],
  operands: [{ name: 'database', help: 'path of the SQLite database, or a quoted pattern of many' }, REPLICA],
  flags: {
    ...Object.fromEntries(OPTION_NAMES.map((name) => [kebab(name), OPTIONS[name]])),
    exec: {
      value: 'command',
      help: 'start the app once the database is safe, pass signals on to it, ship the rest after it ends, and end with its exit code',
    },
    metrics: { value: 'host:port', help: 'serve metrics for Prometheus there, such as 127.0.0.1:9464' },
    verbose: { short: 'v', help: 'also print what was shipped, at most one line in each sync interval' },
  },
  examples: [
    { line: `seawall ship app.db 's3://backups/app?region=eu-central-1'`, says: 'beside the app, in its own terminal' },
    {
      line: 'seawall ship /data/app.db ./bucket --restore if-missing --sync-interval 250ms',
      says: 'on a machine whose disk may be new: restore first, then ship',
    },
    {
      line: `seawall ship /data/app.db 's3://backups/app?region=eu-central-1' --restore if-missing --exec 'node server.js'`,
      says: 'as the entry point of a container',
    },
    {
      line: `seawall ship 'tenants/*.db' 's3://backups/tenants?region=eu-central-1'`,
      says: 'every database in a folder, each below a prefix of its own',
    },
  ],
  async run(line, terminal) {
    const options = shipperOptions(line);
    const metrics = metricsAddress(line);
    const command = line.text('exec');
    if (hasWildcard(options.database) && !existsSync(options.database)) {
      if (command !== undefined) throw new UsageError('--exec goes with one database, not with a pattern');
      return shipFolder(options, terminal, { verbose: line.has('verbose'), metrics });
    }
    const settings = await interpretOptions(() => settle(options));
    const log = new ShipLog(terminal, { verbose: line.has('verbose'), interval: settings.syncInterval });
    let app: AppProcess | undefined;
    using end = new EndRequest((signal) => {
      log.say({ event: 'stopping', signal }, `stopping (${signal}): shipping what is left`);
      app?.pass(signal);
    });
    const shipper = new Shipper(options);
    const over = overOf(shipper, log, end.signal);
    // Neither the helper nor a handler for signals keeps this process alive.
    const alive = setInterval(() => undefined, 2 ** 30);
    try {
      const starting = interpretOptions(() => shipper.start());
      starting.catch(() => undefined); // a signal may come first
      await Promise.race([starting, over]);
      if (!end.asked()) await log.sayReady(shipper);
      await using control = await openControl(settings.stateFolder, shipper, log);
      await using monitored = metrics && (await ControlServer.onAddress(metrics, () => [shipper]));
      if (command !== undefined && !end.asked()) {
        app = new AppProcess(command);
        return await shipBeside(app, shipper, over, log);
      }
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

/** Until the app has ended; then all is shipped. If shipping cannot go on, the app is ended: nobody backs it up. */
async function shipBeside(app: AppProcess, shipper: Shipper, over: Promise<void>, log: ShipLog): Promise<number> {
  try {
    const code = await Promise.race([app.ended, over.then(() => app.ended)]);
    await shipper.stop();
    log.sayStopped();
    return code;
  } catch (error) {
    app.pass('SIGTERM');
    await app.ended.catch(() => undefined);
    throw error;
  }
}

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
