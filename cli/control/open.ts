/** What `seawall ship` opens beside its shippers. */
import type { CommandLine } from '../command-line.ts';
import { UsageError } from '../exit-codes.ts';
import type { ShipLog } from '../report/ship-log.ts';
import { toPlain } from '../../shipper/plain-error.ts';
import { ControlServer, socketIn } from './server.ts';
import type { ShippedDatabase } from './shipped-database.ts';

export interface MetricsAddress {
  readonly host: string;
  readonly port: number;
}

/** The value of `--metrics`; undefined without it. Throws a UsageError if it is no address. */
export function metricsAddress(line: CommandLine): MetricsAddress | undefined {
  const text = line.text('metrics');
  if (text === undefined) return undefined;
  const { groups } = /^(?:\[(?<v6>[^\]]+)\]|(?<name>[^:]+)):(?<digits>\d{1,5})$/.exec(text) ?? {};
  const host = groups?.['v6'] ?? groups?.['name'];
  const port = Number(groups?.['digits']);
  if (host === undefined || !(port <= 65_535)) {
    throw new UsageError(`--metrics must be an address such as 127.0.0.1:9464, not ${JSON.stringify(text)}`);
  }
  return { host, port };
}

/** The control socket; if it cannot be had, that is told and shipping goes on without it. */
export async function openControl(
  stateFolder: string,
  shipped: ShippedDatabase,
  log: ShipLog,
): Promise<ControlServer | undefined> {
  try {
    return await ControlServer.onSocket(socketIn(stateFolder), shipped);
  } catch (error) {
    const { kind, code, message } = toPlain(error);
    log.say({ event: 'no-control', error: { kind, code, message } }, `no control socket: ${message}`);
    return undefined;
  }
}
