/** What stays open of a database after another file has taken its place. */
import { closeSync, statSync } from 'node:fs';

export class LeftBehind {
  readonly #shm: number;
  readonly #inode: bigint;

  /** Keeps the descriptor of `-shm` open, so that no other file gets this inode number. */
  constructor(shm: number, inode: bigint) {
    this.#shm = shm;
    this.#inode = inode;
  }

  /** Whether the old `-shm`, and so the old WAL, still lies beside the file at `path`. */
  walLiesBeside(path: string): boolean {
    return inodeOf(`${path}-shm`) === this.#inode;
  }

  release(): void {
    closeSync(this.#shm);
  }
}

export function inodeOf(path: string): bigint | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
}
