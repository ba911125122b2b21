/** The world of a campaign: one database, its bucket, what was promised, and a log of all that happened. */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { openStore } from '../../replica/store/open.ts';
import type { Store } from '../../replica/store/store.ts';
import { SCRATCH_ROOT } from '../history/scratch.ts';
import { Seeded } from '../history/seeded.ts';
import { accessKeyId } from '../s3-server/access.ts';
import { startS3Server, type S3Server } from '../s3-server/index.ts';
import { createContent } from './content.ts';
import { Origins } from './origins.ts';
import type { CampaignPlan, StoreTrouble } from './plan.ts';
import { Promises } from './promises.ts';
import type { Figures } from './figures.ts';

export const BUCKET = 'b';
export const ROOT = 'dbs/';
export const DATABASE = 'app';
/** The rack’s own requests; no fault is for them. */
const OWN_KEY = 'rack';

export interface LogLine {
  /** Milliseconds since the campaign began. */
  readonly t: number;
  readonly what: string;
  readonly facts?: unknown;
}

export class World implements AsyncDisposable {
  readonly plan: CampaignPlan;
  readonly folder = mkdtempSync(join(SCRATCH_ROOT, 'seawall-torture-'));
  readonly database = join(this.folder, 'app.db');
  readonly server: S3Server;
  readonly store: Store;
  readonly replica: string;
  readonly promises = new Promises();
  readonly origins: Origins;
  readonly figures: Figures;
  readonly log: LogLine[] = [];
  /** Ends everything that runs, with the finding. */
  readonly over = new AbortController();
  /** When a keeper was last at work, milliseconds since 1970. */
  lastSweep = 0;
  /** Another machine takes the replica over right now. */
  takeover = false;
  readonly #since = performance.now();
  #keys = 0;
  #restored = 0;

  private constructor(plan: CampaignPlan, figures: Figures, server: S3Server, store: Store, replica: string) {
    this.plan = plan;
    this.figures = figures;
    this.server = server;
    this.store = store;
    this.replica = replica;
    this.origins = new Origins(this);
  }

  static async make(plan: CampaignPlan, figures: Figures): Promise<World> {
    const server = await startS3Server({ buckets: [BUCKET] });
    const replica = `s3://${BUCKET}/${ROOT}${DATABASE}?region=us-east-1&endpoint=${encodeURIComponent(server.endpoint)}`;
    const store = await openStore(replica, { credentials: { accessKeyId: OWN_KEY, secretAccessKey: 'test' } });
    const world = new World(plan, figures, server, store, replica);
    createContent(world.database, plan.database, new Seeded(plan.seed ^ 0x5ea));
    mkdirSync(world.#scratch);
    return world;
  }

  note(what: string, facts?: unknown): void {
    const t = Math.round(performance.now() - this.#since);
    this.log.push(facts === undefined ? { t, what } : { t, what, facts });
  }

  /** Ends the campaign with its first finding. */
  fail(error: unknown): void {
    if (this.over.signal.aborted) return;
    this.note('finding', String(error));
    this.over.abort(error);
  }

  /** An access key of one process and its children. */
  key(name: string): string {
    return `${name}-${process.pid}-${this.plan.seed}-${++this.#keys}`;
  }

  get stateFolder(): string {
    return `${this.database}-seawall`;
  }

  get #scratch(): string {
    return join(this.folder, 'restored');
  }

  /** A path to restore to; the file is removed by the caller. */
  scratchFile(): string {
    return join(this.#scratch, `${++this.#restored}.db`);
  }

  removeDatabase(): void {
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${this.database}${suffix}`, { force: true });
  }

  get hasDatabase(): boolean {
    return existsSync(this.database);
  }

  /** What the store does to everyone but the rack, from now on. */
  trouble(trouble: StoreTrouble | undefined): void {
    const { faults } = this.server;
    faults.clear();
    if (trouble === undefined) return;
    const foreign = (request: Parameters<typeof accessKeyId>[0]): boolean => accessKeyId(request) !== OWN_KEY;
    const { refused, reset, lostAck, cut, conflict, slow, latency } = trouble;
    const rule = { match: foreign };
    if (slow > 0) faults.add({ ...rule, kind: 'slow', latency, probability: slow });
    if (refused > 0) faults.add({ ...rule, kind: 'status', status: 503, code: 'SlowDown', probability: refused });
    if (reset > 0) faults.add({ ...rule, kind: 'reset', probability: reset });
    if (cut > 0) faults.add({ ...rule, kind: 'cut', probability: cut });
    if (conflict > 0) faults.add({ ...rule, kind: 'conflict-409', probability: conflict });
    if (lostAck > 0) {
      const write = ({ method }: { readonly method: string }): boolean => method === 'PUT' || method === 'POST';
      faults.add({ kind: 'lost-ack', probability: lostAck, match: (each) => foreign(each) && write(each) });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    await this.server.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
