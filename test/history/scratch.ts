/** A temporary folder that goes away with the scope it is declared in (`using`). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class Scratch implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'seawall-test-'));
  #files = 0;

  /** A path in the folder that no earlier call returned. */
  file(): string {
    return join(this.path, `restored-${++this.#files}.db`);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
