/**
 * The check of a replica's LTX files: each is read whole, and they are held against each other. The page hashes are
 * carried from state to state, so that what several files say of one state must agree: a merged file with those it was
 * merged from, a snapshot with the files that lead to it.
 */
import type { Findings, GenerationReport } from './findings.ts';
import { PageHashes } from '../format/page-hashes.ts';
import type { Store } from '../store/store.ts';
import { formatTxid } from '../terms/target.ts';
import type { LtxHeader } from '../ltx/format.ts';
import type { LtxHistory } from '../ltx/history.ts';
import { SNAPSHOT_LEVEL, type LtxRef } from '../ltx/layout.ts';
import { readLtx, readLtxHeader } from '../ltx/reader.ts';

/** Damage and gaps are told to `findings`. Throws what keeps it from reading. */
export async function verifyLtx(store: Store, history: LtxHistory, findings: Findings): Promise<GenerationReport> {
  const { files, states } = history;
  for (const key of history.foreign) findings.warning(key, 'FOREIGN_KEY', `${key}: not an LTX file`);
  checkGaps(history, findings);
  const check = new LtxCheck(store, findings);
  const byEnd = Map.groupBy(files, ({ max }) => max);
  for (const max of [...byEnd.keys()].sort((a, b) => a - b)) await check.state(byEnd.get(max)!);
  const snapshots = files.filter(({ min }) => min === 1).length;
  const [first] = states;
  const last = states.at(-1);
  return {
    id: 'ltx',
    snapshots,
    segments: files.length - snapshots,
    bytes: files.reduce((sum, { size }) => sum + size, 0),
    commits: byEnd.size,
    first: first && formatTxid(first.txid),
    last: last && formatTxid(last.txid),
    holes: check.holes,
    proof: { recorded: 0, frames: files.length },
  };
}

/** Within a level each file continues the one before, and something leads to the newest file. */
function checkGaps({ files, states }: LtxHistory, findings: Findings): void {
  const newest = states.at(-1)?.txid ?? 0;
  for (const [at, file] of files.entries()) {
    const before = files[at - 1];
    if (file.max > newest) {
      const message = `${file.key}: files before it are missing, none leads from ${formatTxid(newest)} to it`;
      findings.problem(file.key, 'LTX_GAP', message);
    } else if (before?.level === file.level && file.level !== SNAPSHOT_LEVEL && file.min > before.max + 1) {
      const missing = `${formatTxid(before.max + 1)} to ${formatTxid(file.min - 1)}`;
      const message = `${file.key}: before it ${missing} are missing; other files bridge that, without the states between`;
      findings.problem(file.key, 'LTX_HOLE', message);
    }
  }
}

class LtxCheck {
  readonly #store: Store;
  readonly #findings: Findings;
  /** Page hashes after transaction #txid; undefined behind damage. */
  #hashes: PageHashes | undefined;
  #txid = 0;
  holes = 0;

  constructor(store: Store, findings: Findings) {
    this.#store = store;
    this.#findings = findings;
  }

  /** All files that end with one state. */
  async state(files: readonly LtxRef[]): Promise<void> {
    // The one that holds least brings the state about, the others are compared with it.
    const ordered = files.toSorted((a, b) => b.min - a.min);
    let known = false;
    for (const file of ordered) {
      try {
        const header = await readLtxHeader(this.#store, file);
        if (known) await this.#compare(file, header);
        else known = await this.#apply(file, header);
      } catch (error) {
        this.#findings.failed(file.key, error);
        if (!known) this.#lose(); // it may be half applied
      }
      this.#findings.checked();
    }
    // A file that nothing leads to any more tells of a state that merged files pass over.
    if (known) this.#txid = ordered[0]!.max;
  }

  /** Whether the state is known afterwards. */
  async #apply(file: LtxRef, header: LtxHeader): Promise<boolean> {
    const whole = file.min === 1;
    const follows = file.min <= this.#txid + 1 && this.#hashes?.pageSize === header.pageSize;
    const before = follows ? this.#hashes : undefined;
    const hashes = whole ? new PageHashes(header.pageSize, header.pages) : before;
    for await (const { page, content } of readLtx(this.#store, file)) hashes?.set(page, content);
    if (hashes === undefined) return false;
    hashes.commit(header.pages);
    this.#hashes = hashes;
    return true;
  }

  async #compare(file: LtxRef, header: LtxHeader): Promise<void> {
    const hashes = this.#hashes!;
    let differing = hashes.pages === header.pages ? 0 : 1;
    const other = new PageHashes(header.pageSize);
    for await (const { page, content } of readLtx(this.#store, file)) {
      other.set(page, content);
      if (other.get(page) !== hashes.get(page)) differing++;
    }
    if (differing === 0) return;
    const message = `${file.key}: ${differing} of its pages are not those that the files leading to its state have`;
    this.#findings.problem(file.key, 'LTX_DIFFERS', message);
  }

  #lose(): void {
    if (this.#hashes !== undefined) this.holes++;
    this.#hashes = undefined;
  }
}
