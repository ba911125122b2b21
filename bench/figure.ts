/** Results of a benchmark: named figures, each compared with a reference that was measured in the same run. */

export interface Figure {
  /** Unique, lower case with dashes; stable between releases. */
  readonly name: string;
  /** What was measured, and what it is compared with. */
  readonly what: string;
  /** The median. */
  readonly value: number;
  readonly unit: 'ratio' | 'ms' | 'bytes' | 'MiB' | 'MB/s' | 'requests' | 'dollars' | 'percent';
  /** The limit that the figure must keep. */
  readonly target?: { readonly atMost: number } | { readonly atLeast: number };
  /** Each sample the median was taken of, in the order measured. */
  readonly samples: readonly number[];
}

export interface Bench {
  readonly name: string;
  readonly run: (context: Context) => AsyncIterable<Figure>;
}

export interface Context {
  /** Longer runs, more pairs, larger databases. */
  readonly full: boolean;
  /** An empty folder on a real disk, for everything a benchmark writes. */
  readonly folder: string;
  /** Pairs of measurements to take of each figure. */
  readonly pairs: number;
  /** Prints a line about the progress, for people. */
  readonly say: (line: string) => void;
}

export function median(samples: readonly number[]): number {
  if (samples.length === 0) throw new Error('no samples');
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Pairwise quotients: a noisy neighbour slows both sides of a pair. */
export function ratios(samples: readonly number[], references: readonly number[]): number[] {
  return samples.map((sample, i) => sample / references[i]!);
}

export function figure(
  name: string,
  what: string,
  unit: Figure['unit'],
  samples: readonly number[],
  target?: Figure['target'],
): Figure {
  return { name, what, value: median(samples), unit, samples, ...(target === undefined ? {} : { target }) };
}

/** Whether the figure keeps its limit; undefined if it has none. */
export function met({ value, target }: Figure): boolean | undefined {
  if (target === undefined) return undefined;
  return 'atMost' in target ? value <= target.atMost : value >= target.atLeast;
}

export function formatFigure({ value, unit }: Pick<Figure, 'value' | 'unit'>): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 3;
  const text = value.toFixed(digits);
  if (unit === 'ratio') return text;
  if (unit === 'dollars') return `$${value.toFixed(2)}`;
  if (unit === 'percent') return `${text} %`;
  if (unit === 'bytes' || unit === 'requests') return `${value.toFixed(0)} ${unit}`;
  return `${text} ${unit}`;
}

export function formatTarget({ target, unit }: Figure): string {
  if (target === undefined) return '';
  return 'atMost' in target
    ? `≤ ${formatFigure({ value: target.atMost, unit })}`
    : `≥ ${formatFigure({ value: target.atLeast, unit })}`;
}
