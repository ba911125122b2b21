/** Starts writing a file to disk while it grows; otherwise the system would begin only at the fsync at the end. */
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

  /** Records that bytes were written, and starts a sync if they are enough and none is under way. */
  wrote(bytes: number): void {
    this.#dirty += bytes;
    if (this.#dirty < this.#every || this.#syncing !== undefined) return;
    this.#dirty = 0;
    this.#syncing = this.#file
      .datasync()
      .catch((error: unknown) => {
        this.#failure ??= { error }; // the system reports it once, and a later sync would succeed
      })
      .finally(() => (this.#syncing = undefined));
  }

  /** Throws the first failure of a sync. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Waits for the sync under way, and throws as `check` does. The file is durable only after a sync by the caller. */
  async settle(): Promise<void> {
    await this.#syncing;
    this.check();
  }
}
