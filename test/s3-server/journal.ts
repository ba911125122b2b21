import { closeSync, existsSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import type { Change } from './records.ts';

/**
 * The sidecar of a data directory: one JSON line per change. It is written before a request is answered, so a server
 * that is killed and started again on the folder knows every object it has acknowledged. It survives the death of the
 * process, not of the machine: nothing is fsynced.
 */
export class Journal {
  #file: number;

  private constructor(file: number) {
    this.#file = file;
  }

  /** Reads the changes of the last run. A last line that is incomplete belongs to a request that was never answered. */
  static read(path: string): Change[] {
    if (!existsSync(path)) return [];
    const lines = readFileSync(path, 'utf8').split('\n');
    lines.pop();
    return lines.map((line) => JSON.parse(line) as Change[]).flat();
  }

  /** Replaces the journal by the changes that make up the current state. */
  static start(path: string, state: Iterable<Change>): Journal {
    const fresh = `${path}.new`;
    const journal = new Journal(openSync(fresh, 'w'));
    for (const change of state) journal.append([change]);
    renameSync(fresh, path);
    return journal;
  }

  /** Changes of one call share a line, so that they are kept or lost together. */
  append(changes: readonly Change[]): void {
    if (this.#file < 0) return;
    writeSync(this.#file, `${JSON.stringify(changes)}\n`);
  }

  close(): void {
    if (this.#file >= 0) closeSync(this.#file);
    this.#file = -1;
  }
}
