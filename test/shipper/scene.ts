/** A place for one scene: a database, a bucket folder, and ways to look at both. */
import assert from 'node:assert/strict';
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { restore, type Restored, type RestoreOptions } from '../../replica/restore/restore.ts';
import { openStore } from '../../replica/store/open.ts';
import type { ShipperEvent } from '../../shipper/protocol.ts';
import { startS3Server } from '../s3-server/index.ts';
import { until } from '../until.ts';
import { Shipper, type ShipperOptions } from '../../shipper/index.ts';

export { PATIENCE, until } from '../until.ts';

export type Server = Awaited<ReturnType<typeof startS3Server>>;

export interface AppMessage {
  readonly helper?: number;
  readonly event?: ShipperEvent;
  readonly acknowledged?: number;
  readonly position?: string;
  readonly checksum?: string;
  readonly failed?: string;
}

export class Scene implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'seawall-scene-'));
  readonly database = join(this.folder, 'app.db');
  bucket = join(this.folder, 'bucket');
  readonly events: ShipperEvent[] = [];
  readonly #children: ChildProcess[] = [];
  readonly #shippers: Shipper[] = [];
  readonly #servers: Server[] = [];
  #restored = 0;

  /** Runs a writer of test/shipper/writers as a process of its own. */
  writer(name: string, ...args: string[]): ChildProcess {
    const child = fork(new URL(`./writers/${name}`, import.meta.url), [this.database, ...args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#children.push(child);
    return child;
  }

  command(file: string, ...args: string[]): ChildProcess {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#children.push(child);
    return child;
  }

  /** An S3 server of its own, which ends with the scene; `bucket` leads to it. */
  async serve(options: Parameters<typeof startS3Server>[0] = {}): Promise<Server> {
    const server = await startS3Server({ buckets: ['b'], ...options });
    this.#servers.push(server);
    this.bucket = `s3://b/app?region=us-east-1&endpoint=${encodeURIComponent(server.endpoint)}`;
    return server;
  }

  /** A started shipper in this process; its events are kept in `events`. */
  async ship(options: Partial<ShipperOptions> = {}): Promise<Shipper> {
    const shipper = new Shipper({ database: this.database, replica: this.bucket, syncInterval: '30ms', ...options });
    this.#shippers.push(shipper);
    shipper.on('event', (event) => this.events.push(event));
    await shipper.start();
    return shipper;
  }

  /** Why generations were started, in order. */
  reasons(): string[] {
    return this.events.filter((event) => event.type === 'generation').map(({ reason }) => reason);
  }

  /** An app process with its shipper; `acknowledged` grows as it reports. */
  app(library: string, options: Partial<ShipperOptions> = {}): App {
    return new App(this.writer('app.ts', this.bucket, library, JSON.stringify(options)));
  }

  /** The database as SQLite would leave it after a checkpoint; the live files are only read. */
  image(): Buffer {
    return imageOf(this.database, join(this.folder, 'image.db'));
  }

  async restore(options: RestoreOptions = {}): Promise<Restored> {
    const store = await openStore(this.bucket);
    try {
      return await restore(store, join(this.folder, `restored-${++this.#restored}.db`), options);
    } finally {
      await store.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) await server.close();
    for (const child of this.#children) child.kill('SIGKILL');
    for (const shipper of this.#shippers) await crash(shipper);
    await until(() => this.#removed());
  }

  /** False while a helper holds the folder, or writes there: one that was just being started may come up yet. */
  #removed(): boolean {
    const holder = this.holder();
    if (alive(holder)) {
      process.kill(holder, 'SIGKILL');
      return false;
    }
    try {
      rmSync(this.folder, { recursive: true, force: true });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOTEMPTY') return false;
      throw error;
    }
  }

  /** The helper that the state folder names; 0 when it is gone, whoever has its process id now. */
  holder(): number {
    try {
      const pid = Number.parseInt(readFileSync(join(this.folder, 'app.db-seawall/holder'), 'utf8'), 10);
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('/helper/main.') ? pid : 0;
    } catch {
      return 0;
    }
  }
}

export class App {
  readonly process: ChildProcess;
  helper = 0;
  acknowledged = 0;
  checksum = '';
  readonly events: ShipperEvent[] = [];
  readonly failures: string[] = [];

  constructor(process: ChildProcess) {
    this.process = process;
    process.on('message', (message: AppMessage) => {
      if (message.helper !== undefined) this.helper = message.helper;
      if (message.event !== undefined) this.events.push(message.event);
      if (message.acknowledged !== undefined) this.acknowledged = message.acknowledged;
      if (message.checksum !== undefined) this.checksum = message.checksum;
      if (message.failed !== undefined) this.failures.push(message.failed);
    });
  }

  reasons(): string[] {
    return this.events.filter((event) => event.type === 'generation').map(({ reason }) => reason);
  }

  async acknowledges(more: number): Promise<void> {
    const from = this.acknowledged;
    const over = (): boolean => this.process.exitCode !== null || this.failures.length > 0;
    try {
      await until(() => this.acknowledged >= from + more || over());
    } catch (cause) {
      const told = JSON.stringify(this.events.slice(-10));
      throw new Error(`${this.acknowledged - from} acknowledged, helper ${this.helper}, events ${told}`, { cause });
    }
    assert.equal(this.process.exitCode, null, 'the app ended by itself');
    assert.deepEqual(this.failures, [], 'sync() failed');
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    if (this.process.exitCode === null && this.process.signalCode === null) await once(this.process, 'exit');
  }

  /** Waits until the helper has shipped what was committed and ended. */
  async helperEnds(): Promise<void> {
    await until(() => !alive(this.helper));
  }
}

/** A database as SQLite would leave it after a checkpoint: made from a copy, which is removed again. */
export function imageOf(database: string, copy: string): Buffer {
  copyFileSync(database, copy);
  if (existsSync(`${database}-wal`)) copyFileSync(`${database}-wal`, `${copy}-wal`);
  const db = new Database(copy);
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
  const bytes = readFileSync(copy);
  rmSync(copy);
  return bytes;
}

/** Ends a shipper of this process and its helper as if the machine had died: nothing more is shipped. */
export async function crash(shipper: Shipper): Promise<void> {
  let over = false;
  const { pid } = shipper;
  if (pid !== undefined && alive(pid)) process.kill(pid, 'SIGSTOP'); // it must not hear of the stop
  const stopped = shipper.stop().catch(() => undefined);
  void stopped.then(() => {
    over = true;
  });
  // A helper that is being restarted may come up yet.
  await until(() => {
    if (shipper.pid !== undefined && alive(shipper.pid)) process.kill(shipper.pid, 'SIGKILL');
    return over;
  });
}

export function alive(pid: number): boolean {
  if (pid === 0) return false;
  try {
    process.kill(pid, 0);
    // A process that ended but was not waited for still answers.
    return !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return false;
  }
}
