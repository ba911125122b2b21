/** A temporary folder that goes away with the scope it is declared in (`using`). */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * In memory if the system has such a folder, because thousands of restores with their fsyncs would be slow on a disk.
 */
export const SCRATCH_ROOT = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

export class Scratch implements Disposable {
  readonly path = mkdtempSync(join(SCRATCH_ROOT, 'seawall-test-'));
  #files = 0;

  /** A path in the folder that no earlier call returned. */
  file(): string {
    return join(this.path, `restored-${++this.#files}.db`);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
