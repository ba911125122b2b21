/** Requests for a snapshot that are not answered yet. */
import { SeawallError } from '../../../replica/terms/errors.ts';
import { ContinuityLost } from '../continuity-lost.ts';
import { Fenced } from '../upload/uploader.ts';

export class SnapshotRequests {
  #asked: { readonly resolve: (key: string) => void; readonly reject: (error: unknown) => void }[] = [];

  get waiting(): boolean {
    return this.#asked.length > 0;
  }

  /** Resolves with the key of the snapshot that is made next. */
  ask(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ resolve, reject });
    });
  }

  /**
   * Makes one snapshot for all requests so far. If `make` throws, they reject with that. Returns the loss of continuity
   * that this shows, if it does; throws Fenced.
   */
  async answer(make: () => Promise<string>): Promise<ContinuityLost | undefined> {
    const asked = this.#asked;
    this.#asked = [];
    try {
      const key = await make();
      for (const { resolve } of asked) resolve(key);
      return undefined;
    } catch (error) {
      for (const { reject } of asked) reject(error instanceof ContinuityLost ? interrupted(error) : error);
      if (error instanceof Fenced) throw error;
      if (error instanceof ContinuityLost) return error;
      if (!(error instanceof SeawallError) || error.code !== 'SNAPSHOT_MISMATCH') return undefined;
      return new ContinuityLost('checksum-mismatch', error.message);
    }
  }

  rejectAll(error: unknown): void {
    for (const { reject } of this.#asked.splice(0)) reject(error);
  }
}

function interrupted({ message }: ContinuityLost): SeawallError {
  return new SeawallError('refused', 'SNAPSHOT_INTERRUPTED', `no snapshot was made: ${message}; ask again later`);
}
