/** A file system of its own for a test, which needs the right to mount; elsewhere the test says that it was skipped. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** `options` as mount(8) takes them for a tmpfs. */
export async function withFileSystem(
  t: TestContext,
  options: string,
  work: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'seawall-mount-'));
  try {
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'seawall-test', folder], { encoding: 'utf8' });
    if (mounted.status !== 0) {
      t.skip(`needs the right to mount: ${mounted.error?.message ?? mounted.stderr.trim()}`);
      return;
    }
    try {
      await work(folder);
    } finally {
      spawnSync('umount', ['-l', folder]);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
