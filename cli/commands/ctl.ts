import { SeawallError, type ErrorKind } from '../../replica/terms/errors.ts';
import { settle } from '../../shipper/options.ts';
import type { Command } from '../command.ts';
import { askControl } from '../control/client.ts';
import { socketIn } from '../control/server.ts';
import { EXIT, interpret, UsageError } from '../exit-codes.ts';
import type { JsonDocument } from '../json.ts';
import { columns } from '../report/wording.ts';

const ASKS = {
  sync: { method: 'POST', says: 'uploads what is committed, and waits until it is in the replica' },
  durable: { method: 'POST', says: 'waits for the upload that is due anyway' },
  snapshot: { method: 'POST', says: 'makes a snapshot now' },
  status: { method: 'GET', says: 'tells how the shipper is' },
  health: { method: 'GET', says: 'exit code 0 if the backup is fresh, else 1' },
} as const satisfies Readonly<Record<string, { readonly method: 'GET' | 'POST'; readonly says: string }>>;

export const ctlCommand: Command = {
  name: 'ctl',
  summary: 'asks the "seawall ship" of a database that runs on this machine',
  details: [
    `What: ${Object.entries(ASKS)
      .map(([name, { says }]) => `${name} (${says})`)
      .join('; ')}.`,
    'It goes over the UNIX socket control.sock in the state folder, by HTTP with JSON: apps in any language can do the ' +
      'same, such as curl --unix-socket data/app.db-seawall/control.sock -X POST http://localhost/sync.',
  ],
  operands: [
    { name: 'database', help: 'path of the SQLite database' },
    { name: 'what', help: Object.keys(ASKS).join(', ') },
  ],
  flags: {
    'state-folder': { value: 'folder', default: '<database>-seawall', help: 'as "seawall ship" has it' },
    'max-lag': { value: 'duration', default: '30s', help: 'health only: how long a commit may wait for its upload' },
  },
  examples: [
    { line: 'seawall ctl data/app.db sync', says: 'in a script: what was written before is in the bucket after' },
    { line: 'seawall ctl data/app.db health --max-lag 1m', says: 'a health check of a container' },
  ],
  async run(line) {
    const what = line.operand(1);
    if (!Object.hasOwn(ASKS, what)) {
      throw new UsageError(`${JSON.stringify(what)} is none of ${Object.keys(ASKS).join(', ')}`);
    }
    const ask = what as keyof typeof ASKS;
    const maxLag = line.text('max-lag');
    if (maxLag !== undefined && ask !== 'health') throw new UsageError('--max-lag goes with health only');
    await interpret(() => line.duration('max-lag'));
    const stateFolder = line.text('state-folder');
    const settings = await interpret(() =>
      settle({ database: line.operand(0), replica: 'any', ...(stateFolder !== undefined && { stateFolder }) }),
    );
    const query = maxLag === undefined ? '' : `?maxLag=${encodeURIComponent(maxLag)}`;
    const { status, body } = await askControl(socketIn(settings.stateFolder), ASKS[ask].method, `/${ask}${query}`);
    const { error } = body as { readonly error?: { kind: ErrorKind; code: string; message: string } };
    if (error !== undefined) throw new SeawallError(error.kind, error.code, error.message);
    return { exitCode: status === 200 ? EXIT.ok : EXIT.failed, document: body, lines: linesOf(body) };
  },
};

function linesOf(document: JsonDocument): readonly string[] {
  return columns(
    Object.entries(document).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
}
