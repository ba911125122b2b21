/** The same operations with and without Seawall: what an app saw, and what its file holds at the end. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import Database from 'better-sqlite3';
import { SeawallError, type ShipperOptions } from '../../shipper/index.ts';
import { Scene } from '../shipper/scene.ts';
import type { Order } from './app.ts';

/** An app process; each order is answered before the next is given. */
export class ToldApp implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly answers: string[] = [];

  constructor(database: string) {
    this.#process = fork(new URL('./app.ts', import.meta.url), [database], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
  }

  async do(order: Order): Promise<string> {
    const answered = once(this.#process, 'message') as Promise<[string]>;
    this.#process.send(order);
    const [answer] = await answered;
    this.answers.push(`${order.do}: ${answer}`);
    return answer;
  }

  async commit(from: number, count: number, pause?: number): Promise<void> {
    await this.do({ do: 'commit', from, count, ...(pause !== undefined && { pause }) });
  }

  async touch(command: string): Promise<void> {
    await this.do({ do: 'touch', command });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }
}

/** What SQLite reads in a file: the rows of `t`, or why it cannot. */
export function contentOf(path: string): string {
  if (!existsSync(path)) return 'missing';
  const db = new Database(path, { fileMustExist: true });
  try {
    const ids = db.prepare('SELECT id FROM t ORDER BY id').pluck().all();
    const integrity = db.pragma('integrity_check', { simple: true }) as string;
    return `${integrity === 'ok' ? 'ok' : 'malformed'}: ${ids.join(' ')}`;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  } finally {
    db.close();
  }
}

/** Another database: the rows 1001 to 1300. */
export function seed(path: string): void {
  const db = new Database(path);
  db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT)');
  for (let id = 1001; id <= 1300; id++) db.prepare('INSERT INTO t VALUES (?, ?)').run(id, 'seed'.repeat(100));
  db.pragma('journal_mode = WAL');
  db.close();
}

export interface Outcome {
  /** What the app was answered. */
  readonly answers: readonly string[];
  readonly content: string;
  readonly causes: readonly string[];
  readonly problems: readonly string[];
  /** `stopped`, or the code of what `stop()` threw. */
  readonly ended: string;
  /** What a restore gives, and what the live file held when everything was shipped; with Seawall only. */
  readonly restored?: string;
}

export interface Run {
  readonly scene: Scene;
  readonly app: ToldApp;
  /** Waits until the shipper has shipped what there is; does nothing without. */
  readonly settle: () => Promise<void>;
  readonly shipped: boolean;
}

/**
 * One run: a database with rows 1 to 40, an app that has it open, and a shipper if asked for. `act` does the rest; the
 * app is to have the database closed at the end. The content is read once the shipper has stopped.
 */
export async function run(
  withSeawall: boolean,
  act: (run: Run) => Promise<void>,
  options: Partial<ShipperOptions> = {},
): Promise<Outcome> {
  await using scene = new Scene();
  const db = new Database(scene.database);
  db.pragma('journal_mode = WAL');
  db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT)');
  for (let id = 1; id <= 40; id++) db.prepare('INSERT INTO t VALUES (?, ?)').run(id, 'first'.repeat(100));
  db.close();
  seed(`${scene.folder}/seed.db`);
  await using app = new ToldApp(scene.database);
  await app.do({ do: 'open' });
  const shipper = withSeawall ? await scene.ship({ syncInterval: '50ms', stopTimeout: '20s', ...options }) : undefined;
  await act({
    scene,
    app,
    shipped: withSeawall,
    settle: async () => {
      await shipper?.sync();
    },
  });
  let restored: string | undefined;
  let ended = 'stopped';
  await shipper?.stop().catch((error: unknown) => {
    ended = error instanceof SeawallError ? error.code : String(error);
  });
  const content = contentOf(scene.database);
  if (shipper !== undefined) restored = contentOf((await scene.restore()).path);
  return {
    answers: app.answers,
    content,
    causes: scene.events.filter((event) => event.type === 'lost').map(({ cause }) => cause),
    problems: scene.events.filter((event) => event.type === 'problem').map(({ error }) => error.code),
    ended,
    ...(restored !== undefined && { restored }),
  };
}
