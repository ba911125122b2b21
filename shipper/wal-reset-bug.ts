/**
 * SQLite's WAL-reset bug: in 3.7.0 to 3.51.2 a checkpoint and a write at the same moment, in two connections, can
 * corrupt the database (https://www.sqlite.org/wal.html#walresetbug). Fixed in 3.51.3, and in 3.50.7 and 3.44.6.
 */
export function hasWalResetBug(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  if (major !== 3) return major < 3;
  if (minor >= 52) return false;
  const fixedAt = { 51: 3, 50: 7, 44: 6 }[minor];
  return fixedAt === undefined || patch < fixedAt;
}
