/** What stays open of a database when another one lies under its path. */
import { closeSync, statSync } from 'node:fs';

export class LeftBehind {
  readonly #shm: number;
  readonly #inode: bigint;

  /** Keeps the descriptor, so that no other file gets this inode. */
  constructor(shm: number, inode: bigint) {
    this.#shm = shm;
    this.#inode = inode;
  }

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
