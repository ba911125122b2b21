/** Moments, spans and counts, written for people. */
import { formatSize } from '../../replica/terms/units.ts';
import { formatTime } from '../../replica/terms/target.ts';

/** `2026-03-01T12:00:00.000Z (3 minutes ago)` */
export function momentWords(time: number, now: number): string {
  return `${formatTime(time)} (${agoWords(now - time)})`;
}

function agoWords(milliseconds: number): string {
  return milliseconds < 0 ? 'in the future by this machine’s clock' : `${spanWords(milliseconds)} ago`;
}

/** In the largest unit of which there are at least two: `95 seconds`, `3 minutes`, `40 hours`, `12 days`. */
export function spanWords(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} seconds`;
  if (seconds < 120) return counted(Math.floor(seconds), 'second');
  if (seconds < 7200) return counted(Math.floor(seconds / 60), 'minute');
  if (seconds < 172_800) return counted(Math.floor(seconds / 3600), 'hour');
  return counted(Math.floor(seconds / 86_400), 'day');
}

export function warningLines(warnings: readonly string[]): string[] {
  return warnings.map((warning) => `warning: ${warning}`);
}

/** `1 page`, `2 pages`. */
export function counted(count: number, one: string, many = one.endsWith('x') ? `${one}es` : `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Bytes, rounded and exact. */
export function sizeWords(bytes: number): string {
  return bytes < 1024 ? counted(bytes, 'byte') : `${formatSize(bytes)} (${bytes} bytes)`;
}

/** Two columns: names, and values aligned after them. */
export function columns(rows: readonly (readonly [name: string, value: string])[]): string[] {
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`);
}
