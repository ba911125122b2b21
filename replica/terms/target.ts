/** What to restore: the latest state, the state at a moment, or the state at a position. */
import { formatPosition, parsePosition, type Position } from './position.ts';

/** Which state to restore; see {@link parseTarget} for how people write it. */
export type Target =
  | { readonly kind: 'latest' }
  | {
      readonly kind: 'time';
      /** Milliseconds since 1970. */
      readonly time: number;
    }
  | {
      readonly kind: 'position';
      /** The end of what is to be applied. */
      readonly position: Position;
    }
  | {
      readonly kind: 'txid';
      /** The last transaction to be in it, as Litestream 0.5 counts them. */
      readonly txid: number;
    };

/** The newest state. */
export const LATEST: Target = { kind: 'latest' };

const TXID = /^txid:([0-9a-f]{16})$/;
const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

const AGO =
  /^(?:-|(?=.* ago$))(\d+(?:\.\d+)?)\s*(ms|milliseconds?|s|sec|seconds?|m|min|minutes?|h|hours?|d|days?|w|weeks?)(?: ago)?$/i;
const SPANS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/**
 * Parses what people type: a span before `now` (milliseconds since 1970) such as `-5m` or `5 minutes ago`, `now`, or
 * whatever {@link parseTarget} takes. Throws as that.
 */
export function parseTargetAt(text: string, now: number): Target {
  if (text === 'now') return { kind: 'time', time: now };
  const [, count, unit] = AGO.exec(text.trim()) ?? [];
  if (count === undefined || unit === undefined) return parseTarget(text);
  const span = /^(ms|milli)/i.test(unit) ? 1 : SPANS[unit[0]!.toLowerCase()]!;
  return { kind: 'time', time: Math.round(now - Number(count) * span) };
}

/**
 * Parses `latest`, an RFC 3339 time with its zone, a position, or a transaction.
 *
 * @throws RangeError for any other text
 */
export function parseTarget(text: string): Target {
  if (text === 'latest') return LATEST;
  const position = parsePosition(text);
  if (position !== undefined) return { kind: 'position', position };
  const txid = Number.parseInt(TXID.exec(text)?.[1] ?? '', 16);
  if (Number.isSafeInteger(txid) && txid > 0) return { kind: 'txid', txid };
  if (RFC_3339.test(text)) {
    const time = Date.parse(text.replace(' ', 'T').toUpperCase());
    if (!Number.isNaN(time) && isOnCalendar(text)) return { kind: 'time', time };
  }
  throw new RangeError(
    `not a point to restore: ${JSON.stringify(text)}. Give latest, a time such as 2026-03-01T12:00:00Z ` +
      `(with Z or an offset), a position such as 0123456789abcdef/00000003/00001038, or, of a replica of Litestream ` +
      `0.5, a transaction such as txid:000000000000002a.`,
  );
}

/** The text of a target; the inverse of {@link parseTarget}. */
export function formatTarget(target: Target): string {
  switch (target.kind) {
    case 'latest':
      return 'latest';
    case 'time':
      return formatTime(target.time);
    case 'position':
      return formatPosition(target.position);
    case 'txid':
      return formatTxid(target.txid);
  }
}

/** A transaction, as targets write it: `txid:` and sixteen hex digits, as Litestream 0.5 prints them. */
export function formatTxid(txid: number): string {
  return `txid:${txid.toString(16).padStart(16, '0')}`;
}

/** A time in milliseconds since 1970 as RFC 3339, in UTC. */
/** A time (milliseconds since 1970) in RFC 3339, in UTC. */
export function formatTime(time: number): string {
  return new Date(time).toISOString();
}

/** `Date.parse` takes 30 February for 2 March, and 24:00 for the next day. */
function isOnCalendar(text: string): boolean {
  const [year = 0, month = 0, day = 0, hour = 0] = text.split(/[^0-9]/, 4).map(Number);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24;
}
