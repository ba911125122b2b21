/** Free bytes of the disk that a folder is on. */
import { statfs } from 'node:fs/promises';

export async function roomIn(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
