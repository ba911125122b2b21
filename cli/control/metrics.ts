/**
 * Shippers as metrics in Prometheus's text format, version 0.0.4. Names and units follow Prometheus's conventions: base
 * units, `_total` for counters that begin again with the helper process.
 */
import type { ShipperState, ShipperStatus } from '../../shipper/index.ts';
import type { ShippedDatabase } from './shipped-database.ts';

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

const STATES = {
  starting: true,
  snapshotting: true,
  streaming: true,
  retrying: true,
  waiting: true,
  restarting: true,
  fenced: true,
  failed: true,
  stopped: true,
} as const satisfies Record<ShipperState, true>;

interface Metric {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  readonly help: string;
  /** Undefined if nothing is known; nothing is printed then. */
  readonly value: (status: ShipperStatus) => number | undefined;
}

const METRICS: readonly Metric[] = [
  {
    name: 'seawall_lag_seconds',
    type: 'gauge',
    help: 'Everything committed so many seconds ago is in the replica.',
    value: ({ lag }) => seconds(lag),
  },
  {
    name: 'seawall_behind',
    type: 'gauge',
    help: '1 if commits wait to be uploaded.',
    value: ({ behind }) => Number(behind),
  },
  {
    name: 'seawall_staged_bytes',
    type: 'gauge',
    help: 'Captured segments that wait for the store.',
    value: ({ staged }) => staged,
  },
  {
    name: 'seawall_problem',
    type: 'gauge',
    help: '1 if something fails and is tried again, or shipping has ended by it.',
    value: ({ problem }) => Number(problem !== undefined),
  },
  {
    name: 'seawall_last_commit_timestamp_seconds',
    type: 'gauge',
    help: 'When the last commit in the replica was captured.',
    value: ({ committed }) => seconds(committed),
  },
  {
    name: 'seawall_last_upload_timestamp_seconds',
    type: 'gauge',
    help: 'When a segment was last uploaded.',
    value: ({ uploaded }) => seconds(uploaded),
  },
  {
    name: 'seawall_segments_uploaded_total',
    type: 'counter',
    help: 'Segments uploaded since the helper process started.',
    value: ({ segments }) => segments,
  },
  {
    name: 'seawall_snapshots_uploaded_total',
    type: 'counter',
    help: 'Snapshots uploaded since the helper process started.',
    value: ({ snapshots }) => snapshots,
  },
  {
    name: 'seawall_uploaded_bytes_total',
    type: 'counter',
    help: 'Bytes uploaded since the helper process started.',
    value: ({ bytes }) => bytes,
  },
  {
    name: 'seawall_helper_resident_memory_bytes',
    type: 'gauge',
    help: 'Resident memory of the helper process that ships this database.',
    value: ({ memory }) => memory,
  },
];

/** The metrics of all databases. One whose status cannot be had is left out but for `seawall_up`. */
export async function metricsOf(databases: readonly ShippedDatabase[]): Promise<string> {
  const found = await Promise.all(
    databases.map(async (each) => ({ database: each.database, status: await each.status().catch(() => undefined) })),
  );
  const lines = ['# HELP seawall_up 1 if the shipper answers.', '# TYPE seawall_up gauge'];
  for (const { database, status } of found) lines.push(`seawall_up${labels({ database })} ${status ? 1 : 0}`);
  lines.push('# HELP seawall_state 1 for the state that the shipper is in.', '# TYPE seawall_state gauge');
  for (const { database, status } of found) {
    if (status === undefined) continue;
    for (const state of Object.keys(STATES)) {
      lines.push(`seawall_state${labels({ database, state })} ${Number(state === status.state)}`);
    }
  }
  for (const { name, type, help, value } of METRICS) {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    for (const { database, status } of found) {
      const number = status && value(status);
      if (number !== undefined) lines.push(`${name}${labels({ database })} ${number}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function seconds(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : milliseconds / 1000;
}

function labels(values: Readonly<Record<string, string>>): string {
  const escaped = (value: string): string => value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
  return `{${Object.entries(values)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',')}}`;
}
