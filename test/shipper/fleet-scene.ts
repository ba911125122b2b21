/** A folder of databases, a fleet, and ways to compare each database with its replica. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { restore } from '../../replica/restore/restore.ts';
import { openStore } from '../../replica/store/open.ts';
import { Fleet, type FleetOptions } from '../../shipper/index.ts';
import type { ShipperEvent } from '../../shipper/protocol.ts';
import { assertSameBytes } from '../history/same-bytes.ts';
import { startS3Server } from '../s3-server/index.ts';
import { alive, imageOf, until, type Server } from './scene.ts';

process.env['AWS_ACCESS_KEY_ID'] ??= 'test';
process.env['AWS_SECRET_ACCESS_KEY'] ??= 'test';

export interface Told {
  readonly database: string;
  readonly event: ShipperEvent;
}

export class FleetScene implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'seawall-fleet-'));
  readonly events: Told[] = [];
  readonly #databases = new Map<string, Database.Database>();
  readonly #fleets: Fleet[] = [];
  #server: Server | undefined;
  #copies = 0;

  constructor() {
    mkdirSync(join(this.folder, 'data'));
  }

  fleet(options: FleetOptions = {}): Fleet {
    const fleet = new Fleet({ syncInterval: '30ms', retryMax: '200ms', ...options });
    fleet.on('event', (event, { database }) => this.events.push({ database, event }));
    this.#fleets.push(fleet);
    return fleet;
  }

  /** An S3 server that ends with the scene; replicas lie in it from now on. */
  async serve(): Promise<Server> {
    this.#server = await startS3Server({ buckets: ['b'] });
    return this.#server;
  }

  path(name: string): string {
    return join(this.folder, 'data', `${name}.db`);
  }

  replica(name: string): string {
    if (this.#server === undefined) return join(this.folder, 'bucket', name);
    return `s3://b/${name}?region=us-east-1&endpoint=${encodeURIComponent(this.#server.endpoint)}`;
  }

  /** Makes a database in WAL mode and keeps it open. */
  make(name: string): Database.Database {
    const db = new Database(this.path(name));
    this.#databases.set(name, db);
    db.pragma('journal_mode = WAL');
    db.exec('CREATE TABLE t (b)');
    return db;
  }

  open(name: string): Database.Database {
    return this.#databases.get(name)!;
  }

  /** The replica restores to exactly what the database holds. */
  async assertShipped(name: string): Promise<void> {
    const copy = join(this.folder, `copy-${++this.#copies}`);
    const store = await openStore(this.replica(name));
    const { path } = await restore(store, `${copy}.db`);
    await store.close();
    assertSameBytes(readFileSync(path), imageOf(this.path(name), `${copy}-image.db`), name);
    rmSync(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.close();
    for (const fleet of this.#fleets) {
      const { pid } = fleet;
      if (pid !== undefined && alive(pid)) process.kill(pid, 'SIGSTOP'); // it must not hear of the stop
      let over = false;
      void fleet
        .stop()
        .catch(() => undefined)
        .then(() => {
          over = true;
        });
      await until(() => {
        if (fleet.pid !== undefined && alive(fleet.pid)) process.kill(fleet.pid, 'SIGKILL');
        return over;
      });
    }
    for (const db of this.#databases.values()) db.close();
    if (existsSync(this.folder)) rmSync(this.folder, { recursive: true, force: true });
  }
}
