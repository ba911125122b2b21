/** What to restore: the latest state, the state at a moment, or the state at a position. */
import { parsePosition, type Position } from './position.ts';

export type Target =
  | { readonly kind: 'latest' }
  /** Milliseconds since 1970. */
  | { readonly kind: 'time'; readonly time: number }
  | { readonly kind: 'position'; readonly position: Position };

export const LATEST: Target = { kind: 'latest' };

const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

/** Parses `latest`, an RFC 3339 time with its zone, or a position. Throws a RangeError that says so for all else. */
export function parseTarget(text: string): Target {
  if (text === 'latest') return LATEST;
  const position = parsePosition(text);
  if (position !== undefined) return { kind: 'position', position };
  if (RFC_3339.test(text)) {
    const time = Date.parse(text.replace(' ', 'T').toUpperCase());
    if (!Number.isNaN(time)) return { kind: 'time', time };
  }
  throw new RangeError(
    `not a point to restore: ${JSON.stringify(text)}. Give latest, a time such as 2026-03-01T12:00:00Z ` +
      `(with Z or an offset), or a position such as 0123456789abcdef/00000003/00001038.`,
  );
}

export function formatTime(time: number): string {
  return new Date(time).toISOString();
}
