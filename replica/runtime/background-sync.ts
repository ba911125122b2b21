/** Sets the disk to work while a file is written: left to itself, the system would not begin before the fsync at the end. */
import type { FileHandle } from 'node:fs/promises';

export class BackgroundSync {
  readonly #file: FileHandle;
  readonly #every: number;
  #dirty = 0;
  #syncing: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  /** @param every bytes written between two syncs */
  constructor(file: FileHandle, every: number) {
    this.#file = file;
    this.#every = every;
  }

  wrote(bytes: number): void {
    this.#dirty += bytes;
    if (this.#dirty < this.#every || this.#syncing !== undefined) return;
    this.#dirty = 0;
    this.#syncing = this.#file
      .datasync()
      .catch((error: unknown) => {
        this.#failure ??= { error }; // the system tells of it once, and would call a later sync a success
      })
      .finally(() => (this.#syncing = undefined));
  }

  /** Throws what a sync has failed with. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Waits for what is under way; throws as `check` does. What was written is only durable after a sync of its own. */
  async settle(): Promise<void> {
    await this.#syncing;
    this.check();
  }
}
