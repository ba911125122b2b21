/**
 * The check of a replica's LTX files: each is read completely, and they are compared with each other. The page hashes
 * are carried from state to state, so all files that hold one state must agree: a merged file with those it was merged
 * from, a snapshot with the files that lead to it.
 */
import type { Findings, GenerationReport } from './findings.ts';
import { PageHashes } from '../format/page-hashes.ts';
import type { Store } from '../store/store.ts';
import { formatTxid } from '../terms/target.ts';
import type { LtxHeader } from '../ltx/format.ts';
import type { LtxHistory } from '../ltx/history.ts';
import { SNAPSHOT_LEVEL, type LtxRef } from '../ltx/layout.ts';
import { readLtx, readLtxHeader } from '../ltx/reader.ts';

/** Reports damage and gaps to `findings`. Throws what keeps it from reading. */
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
      const message = `${file.key}: before it ${missing} are missing; other files bridge the gap, without the states in it`;
      findings.problem(file.key, 'LTX_HOLE', message);
    }
  }
}

class LtxCheck {
  readonly #store: Store;
  readonly #findings: Findings;
  /** Page hashes after transaction #txid; undefined after damage. */
  #hashes: PageHashes | undefined;
  #txid = 0;
  holes = 0;

  constructor(store: Store, findings: Findings) {
    this.#store = store;
    this.#findings = findings;
  }

  /** Checks all files that end with one state. */
  async state(files: readonly LtxRef[]): Promise<void> {
    // The file with the fewest transactions produces the state; the others are compared with it.
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
    // If no file leads to this state any more, merged files skip it, and the state before it stays.
    if (known) this.#txid = ordered[0]!.max;
  }

  /** Returns whether the state is known afterwards. */
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
    const message = `${file.key}: ${differing} of its pages differ from those of the files that lead to its state`;
    this.#findings.problem(file.key, 'LTX_DIFFERS', message);
  }

  #lose(): void {
    if (this.#hashes !== undefined) this.holes++;
    this.#hashes = undefined;
  }
}
