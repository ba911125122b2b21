/** Maintenance of all databases below a root: one pass after another, each database by itself. */
import { compact } from '../replica/compaction/compact.ts';
import { findDatabases } from '../replica/catalogue/databases.ts';
import type { RetentionPolicy } from '../replica/retention/policy.ts';
import { retain } from '../replica/retention/retain.ts';
import { scoped } from '../replica/store/scoped.ts';
import type { Store } from '../replica/store/store.ts';
import { formatTime } from '../replica/terms/target.ts';
import type { JsonDocument } from './json.ts';
import { compactionWords, compactionDocument } from './report/compaction.ts';
import type { CompactionChoice } from './policy-flags.ts';
import { retentionWords, retentionDocument, retentionExit } from './report/retention.ts';
import { EXIT, exitCodeOf, type ExitCode } from './exit-codes.ts';
import { failureDocument, failureMessage } from './failure.ts';
import type { Terminal } from './terminal/terminal.ts';
import { counted } from './report/wording.ts';

export interface MaintenanceOptions {
  readonly compaction: CompactionChoice;
  readonly retention: RetentionPolicy;
  /** Also prints databases and rounds in which there was nothing to do. */
  readonly verbose: boolean;
  /** After it is aborted, the current step is finished and no other is begun. */
  readonly signal: AbortSignal;
}

export interface Round {
  readonly databases: number;
  readonly failed: number;
  /** `corrupt` if any database is corrupt, else `failed` if any failed. */
  readonly exitCode: ExitCode;
}

export class Maintenance {
  readonly #root: Store;
  readonly #terminal: Terminal;
  readonly #options: MaintenanceOptions;

  constructor(root: Store, terminal: Terminal, options: MaintenanceOptions) {
    this.#root = root;
    this.#terminal = terminal;
    this.#options = options;
  }

  /** One pass over all databases, as they are found. Throws if they cannot be listed. */
  async round(withRetention: boolean): Promise<Round> {
    const began = performance.now();
    let databases = 0;
    const failures: ExitCode[] = [];
    for await (const database of findDatabases(this.#root)) {
      if (this.#options.signal.aborted) break;
      databases++;
      const exitCode = await this.#maintain(database, withRetention);
      if (exitCode !== EXIT.ok) failures.push(exitCode);
    }
    const round = { databases, failed: failures.length, exitCode: worst(failures) };
    this.#tellRound(round, withRetention, (performance.now() - began) / 1000);
    return round;
  }

  /** Prints that a round failed as a whole. The next one may succeed. */
  tellFailure(error: unknown): void {
    this.#print({ event: 'failure', root: this.#root.url, error: failureDocument(error) }, [
      `the databases below ${this.#root.url} cannot be listed: ${failureMessage(error)}`,
    ]);
  }

  /** Compaction, then retention. A failure is printed, and does not keep the other step from being tried. */
  async #maintain(database: string, withRetention: boolean): Promise<ExitCode> {
    const { compaction, retention, verbose, signal } = this.#options;
    const store = scoped(this.#root, database);
    const done = new Steps(database === '' ? this.#root.url : database);
    await done.step('compaction', async () => {
      const outcome = await compact(store, { ...compaction, now: Date.now() });
      if (outcome.kind === 'compacted' || verbose) done.tell(compactionWords(outcome));
      return [compactionDocument(outcome), EXIT.ok];
    });
    if (withRetention && !signal.aborted) {
      await done.step('retention', async () => {
        const report = await retain(store, { policy: retention, now: Date.now() });
        const exitCode = retentionExit(report);
        if (exitCode !== EXIT.ok || report.planned.objects > 0 || verbose) done.tell(...retentionWords(report));
        return [retentionDocument(report), exitCode];
      });
    }
    const exitCode = worst(done.exitCodes);
    if (this.#terminal.json || done.lines.length > 0) {
      this.#print({ event: 'database', database, ok: exitCode === EXIT.ok, ...done.document }, done.lines);
    }
    return exitCode;
  }

  #tellRound({ databases, failed }: Round, withRetention: boolean, seconds: number): void {
    if (!this.#terminal.json && !this.#options.verbose && failed === 0) return;
    const bad = failed === 0 ? '' : `, ${failed} failed`;
    this.#print(
      {
        event: 'round',
        root: this.#root.url,
        databases,
        failed,
        retention: withRetention,
        seconds: Number(seconds.toFixed(3)),
      },
      [`round over ${counted(databases, 'database')} in ${seconds.toFixed(1)} s${bad}`],
    );
  }

  #print(document: JsonDocument, lines: readonly string[]): void {
    this.#terminal.print({ ...document, time: formatTime(Date.now()) }, lines);
  }
}

/** The results of the steps on one database. */
class Steps {
  readonly #name: string;
  document: JsonDocument = {};
  readonly lines: string[] = [];
  readonly exitCodes: ExitCode[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  tell(...words: readonly string[]): void {
    this.lines.push(...words.map((each) => `${this.#name}: ${each}`));
  }

  async step(what: string, run: () => Promise<readonly [document: JsonDocument, exitCode: ExitCode]>): Promise<void> {
    try {
      const [document, exitCode] = await run();
      this.document = { ...this.document, [what]: document };
      this.exitCodes.push(exitCode);
    } catch (error) {
      this.document = { ...this.document, [what]: { error: failureDocument(error) } };
      this.exitCodes.push(exitCodeOf(error));
      this.tell(`${what} failed: ${failureMessage(error)}`);
    }
  }
}

/** Damage is the gravest; all other failures count the same. */
function worst(codes: readonly ExitCode[]): ExitCode {
  if (codes.includes(EXIT.corrupt)) return EXIT.corrupt;
  return codes.every((code) => code === EXIT.ok) ? EXIT.ok : EXIT.failed;
}
