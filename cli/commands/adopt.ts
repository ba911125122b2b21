import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { adopt } from '../../replica/takeover/adopt.ts';
import { SeawallError } from '../../replica/terms/errors.ts';
import { formatChecksum } from '../../replica/format/page-hashes.ts';
import type { Command } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { REPLICA, withStore } from '../replica-place.ts';
import { columns } from '../report/wording.ts';

export const adoptCommand: Command = {
  name: 'adopt',
  summary: 'takes over a replica of Litestream 0.3, so that a shipper continues it without a new snapshot',
  details: [
    'Stop Litestream first, and remove the folder that it keeps beside the database (.app.db-litestream for app.db): with ' +
      'that folder, Litestream would continue the same generation and destroy it. seawall adopt reads the replica to its ' +
      'end and claims it. The next seawall ship, or the shipper in your app, ships only the pages that differ.',
  ],
  operands: [{ name: 'database', help: 'the database file that Litestream replicated' }, REPLICA],
  flags: {},
  examples: [
    {
      line: 'seawall adopt app.db s3://backups/app?region=eu-central-1',
      says: 'the place that Litestream wrote to until now',
    },
  ],
  async run(line) {
    const database = line.operand(0);
    await refuseWhileLitestreamRuns(database);
    return withStore(line.operand(1), async (store) => {
      const owner = randomBytes(8).toString('hex');
      const { generation, pages, checksum } = await adopt(store, {
        owner,
        holder: `${hostname()}:adopt`,
        since: Date.now(),
      });
      return {
        exitCode: EXIT.ok,
        document: { database, replica: store.url, generation, pages, checksum: formatChecksum(checksum) },
        lines: [
          `${store.url} is taken over`,
          ...columns([
            ['generation', generation],
            ['pages', String(pages)],
            ['checksum', formatChecksum(checksum)],
          ]),
          `next: seawall ship ${database} ${line.operand(1)}`,
        ],
      };
    });
  },
};

/** Refuses if Litestream seems to run: if its folder lies beside the database or, on Linux, if it has the database open. */
async function refuseWhileLitestreamRuns(database: string): Promise<void> {
  const path = await realpath(database).catch(() => {
    throw new SeawallError('missing', 'NO_DATABASE', `there is no database at ${database}`, { path: database });
  });
  const process = await litestreamWith(path);
  if (process !== undefined) {
    const message = `Litestream (process ${process}) has ${database} open. Stop it first.`;
    throw new SeawallError('refused', 'LITESTREAM_RUNS', message, { path });
  }
  const folder = join(dirname(path), `.${basename(path)}-litestream`);
  if (!existsSync(folder)) return;
  const message =
    `${folder} exists: with it, Litestream would continue the generation that is taken over. ` +
    'Stop Litestream for good, and remove the folder.';
  throw new SeawallError('refused', 'LITESTREAM_FOLDER', message, { path: folder });
}

async function litestreamWith(path: string): Promise<string | undefined> {
  const processes = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  for (const process of processes) {
    const name = await readFile(`/proc/${process}/comm`, 'utf8').catch(() => '');
    if (!name.startsWith('litestream')) continue;
    for (const fd of await readdir(`/proc/${process}/fd`).catch(() => [])) {
      if ((await readlink(`/proc/${process}/fd/${fd}`).catch(() => '')) === path) return process;
    }
  }
  return undefined;
}
