/** Durations and sizes as people write them: '1s', '5m', '4MiB', '500MB'. Plain numbers are milliseconds and bytes. */

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** Milliseconds. Throws a TypeError or RangeError that names the option. */
export function parseDuration(value: string | number, option: string): number {
  return parse(value, option, DURATION_UNITS, 'a duration such as 500ms, 1s, 5m, 72h or 30d');
}

/** Bytes. Throws a TypeError or RangeError that names the option. */
export function parseSize(value: string | number, option: string): number {
  return Math.round(parse(value, option, SIZE_UNITS, 'a size such as 64KiB, 4MiB or 500MB'));
}

function parse(value: unknown, option: string, units: Readonly<Record<string, number>>, wanted: string): number {
  if (typeof value === 'number') {
    if (Number.isFinite(value) && value >= 0) return value;
    throw new RangeError(`${option} must be ${wanted}, not ${value}`);
  }
  if (typeof value !== 'string') throw new TypeError(`${option} must be ${wanted}, not ${typeof value}`);
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(value.trim());
  const unit = match?.[2] === undefined ? undefined : units[match[2]];
  if (match?.[1] === undefined || unit === undefined) {
    throw new RangeError(`${option} must be ${wanted}, not ${JSON.stringify(value)}`);
  }
  return Number(match[1]) * unit;
}

/** Bytes as people read them: `1.40 MiB`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`;
}
