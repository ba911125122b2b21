/** Ships every database that matches a pattern. */
import { once } from 'node:events';
import { Fleet } from '../shipper/fleet.ts';
import { settle, type ShipperOptions } from '../shipper/options.ts';
import type { Shipper } from '../shipper/shipper.ts';
import { openControl, type MetricsAddress } from './control/open.ts';
import { ControlServer } from './control/server.ts';
import { EXIT, UsageError, type ExitCode } from './exit-codes.ts';
import { EndRequest } from './interruption.ts';
import { ShipLog } from './report/ship-log.ts';
import { interpretOptions } from './ship-options.ts';
import type { Terminal } from './terminal/terminal.ts';
import { counted } from './report/wording.ts';

/** Ships until a signal asks for the end. `database` in the options is the pattern. */
export async function shipFolder(
  options: ShipperOptions,
  terminal: Terminal,
  { verbose, metrics }: { readonly verbose: boolean; readonly metrics: MetricsAddress | undefined },
): Promise<ExitCode> {
  const { database: pattern, replica, stateFolder, ...rest } = options;
  if (stateFolder !== undefined) throw new UsageError('--state-folder is for one database; a pattern may match many');
  const { syncInterval: interval } = await interpretOptions(() => settle({ ...rest, database: pattern, replica }));
  const log = new ShipLog(terminal, { verbose, interval });
  const logs = new WeakMap<Shipper, ShipLog>();
  const logOf = (shipper: Shipper): ShipLog => {
    const known = logs.get(shipper) ?? new ShipLog(terminal, { verbose, interval, database: shipper.database });
    logs.set(shipper, known);
    return known;
  };
  using end = new EndRequest((signal) => {
    log.say({ event: 'stopping', signal }, `stopping (${signal}): shipping what is left`);
  });
  const controls = new Map<Shipper, Promise<ControlServer | undefined>>();
  const fleet = new Fleet(rest);
  await using monitored = metrics && (await ControlServer.onAddress(metrics, () => fleet.shippers));
  fleet.on('event', (event, shipper) => {
    logOf(shipper).hear(event);
  });
  fleet.on('added', (shipper) => {
    logOf(shipper)
      .sayReady(shipper)
      .catch(() => undefined); // it may be stopped at the same moment
    const { stateFolder } = settle({ database: shipper.database, replica });
    controls.set(shipper, openControl(stateFolder, shipper, logOf(shipper)));
  });
  fleet.on('removed', (shipper) => {
    const { database } = shipper;
    void controls.get(shipper)?.then((control) => control?.[Symbol.asyncDispose]());
    controls.delete(shipper);
    log.say({ event: 'removed', database }, `${database}: removed, no longer shipped`);
  });
  fleet.on('refused', ({ database, error }) => {
    const { kind, code, message } = error;
    log.say(
      { event: 'refused', database, error: { kind, code, message } },
      `${database}: not shipped, tried again later: ${message}`,
    );
  });
  // Neither the helper nor a handler for signals keeps this process alive.
  const alive = setInterval(() => undefined, 2 ** 30);
  try {
    const asked = end.asked() ? Promise.resolve() : once(end.signal, 'abort');
    const following = interpretOptions(() => fleet.follow({ pattern, replica: withName(replica) }));
    following.catch(() => undefined); // a signal may come first
    await Promise.race([following, asked]);
    if (!end.asked()) {
      const { length } = fleet.shippers;
      log.say(
        { event: 'following', pattern, databases: length },
        `following ${pattern}: ${counted(length, 'database')}`,
      );
    }
    await asked;
    await fleet.stop();
    log.say({ event: 'stopped' }, 'stopped: all is shipped');
    return EXIT.ok;
  } finally {
    clearInterval(alive);
    for (const control of controls.values()) await (await control)?.[Symbol.asyncDispose]();
    await fleet.stop().catch(() => undefined); // the first failure is the one to tell
  }
}

/** Appends `{name}` to the replica's path, unless it holds `{name}` or `{path}` already. */
function withName(replica: string): string {
  if (/\{(name|path)\}/.test(replica)) return replica;
  const [, place = '', query = ''] = /^([^?]*)(\?.*)?$/s.exec(replica) ?? [];
  return `${place.replace(/\/$/, '')}/{name}${query}`;
}
