/** The figures as text for a terminal, and as the table of docs/BENCHMARKS.md, with missed limits first. */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { decades, plot, type Line } from './plot.ts';
import { formatFigure, formatTarget, met, type Figure } from './figure.ts';

const DOCS = join(import.meta.dirname, '../docs');
const PAGE = join(DOCS, 'BENCHMARKS.md');
/** All figures of the page, by bench, so that one bench can be measured again alone. */
const KEPT = join(DOCS, 'benchmarks.json');
const BEGIN = '<!-- figures: written by npm run bench -- --write -->';
const END = '<!-- end of figures -->';

export function asText(figures: readonly Figure[]): string {
  return figures
    .filter(isTold)
    .map((figure) => `${verdict(figure).padEnd(7)} ${figure.what}: ${withTarget(figure)}\n`)
    .join('');
}

/** Percentiles are for the plot. */
function isTold({ name }: Figure): boolean {
  return !name.startsWith('commit-ms-');
}

function withTarget(figure: Figure): string {
  const target = formatTarget(figure);
  return formatFigure(figure) + (target === '' ? '' : ` (${target})`);
}

function verdict(figure: Figure): string {
  const is = met(figure);
  return is === undefined ? '' : is ? 'met' : 'missed';
}

/** Figures by the name of their bench. */
export type Measured = Record<string, readonly Figure[]>;

/**
 * Replaces the table between the two marks of the page; the text around it is written by people. Figures of benches
 * that were not run are those of the last time.
 */
export function writeReport(measured: Measured): void {
  const kept = { ...(JSON.parse(readFileSync(KEPT, 'utf8')) as Measured), ...measured };
  writeFileSync(KEPT, `${JSON.stringify(kept, null, 2)}\n`);
  const figures = Object.values(kept).flat();
  const page = readFileSync(PAGE, 'utf8');
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${PAGE} has lost the marks around its table`);
  const order = ['missed', 'met', ''];
  const sorted = figures.filter(isTold).toSorted((a, b) => order.indexOf(verdict(a)) - order.indexOf(verdict(b)));
  const rows = sorted.map((figure) => {
    const spread = `${formatFigure({ ...figure, value: Math.min(...figure.samples) })} – ${formatFigure({ ...figure, value: Math.max(...figure.samples) })}`;
    return `| ${figure.what} | ${formatFigure(figure)} | ${spread} (${figure.samples.length}) | ${formatTarget(figure)} | ${verdict(figure)} |`;
  });
  const [cpu] = cpus();
  const table = [
    BEGIN,
    '',
    `Measured on ${cpus().length} cores (${cpu?.model ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}.`,
    '',
    '| figure | median | range (samples) | target | |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
    ...writePlots(figures).flatMap(([file, title]) => [`![${title}](${file})`, '']),
  ].join('\n');
  writeFileSync(PAGE, page.slice(0, begin) + table + page.slice(end));
}

/** What a compaction moves without the hashes of all pages: 8 bytes for each 4 KiB, read and written. */
function withoutHashes([size, moved]: readonly [number, number]): [number, number] {
  return [size, moved - (2 * 8 * size) / 4096];
}

/** Files in docs and the plots in them. A plot whose figures were not measured stays as it was, and is not listed. */
function writePlots(figures: readonly Figure[]): [file: string, title: string][] {
  const written: [string, string][] = [];
  const write = (file: string, title: string, svg: string): void => {
    writeFileSync(join(DOCS, file), svg);
    written.push([file, title]);
  };
  const moved = pointsOf(figures, /^compaction-(\d+)-mib-moved$/);
  if (moved.length > 1) {
    const title = 'Bytes a compaction moves against the size of the database, the same pages changed';
    const sizes = moved.map(([size]) => size);
    const x = { title: 'size of the database, MiB', ticks: sizes, logarithmic: true };
    const whole: Line = { name: 'a full rewrite', points: sizes.map((size) => [size, 2 * size]) };
    const lines = [{ name: 'seawall', points: moved }, { name: 'but for page hashes', points: moved.map(withoutHashes) }, whole]; // prettier-ignore
    const y = { title: 'MiB moved', ticks: decades(lines.flatMap(({ points }) => points.map(([, y]) => y))), logarithmic: true }; // prettier-ignore
    write('compaction-moved.svg', title, plot(title, x, y, lines));
  }
  const lines = ['none', 'seawall', 'litestream-0.3', 'litestream-0.5'].flatMap((way): Line[] => {
    const points = pointsOf(figures, new RegExp(`^commit-ms-${way}-([\\d.]+)$`)).map(([p, ms]): [number, number] => [
      100 / (100 - p), // evenly spaced: 1 in 2, in 10, in 100, in 1,000
      ms,
    ]);
    return points.length === 0 ? [] : [{ name: way === 'none' ? 'plain SQLite' : way, points }];
  });
  if (lines.length > 1) {
    const title = 'Latency of a commit, by percentile';
    const x = { title: 'percentile', ticks: [2, 10, 100, 1000], logarithmic: true, label: (tick: number) => `${100 - 100 / tick}` }; // prettier-ignore
    const y = {
      title: 'ms',
      ticks: decades(lines.flatMap(({ points }) => points.map(([, y]) => y))),
      logarithmic: true,
    };
    write('commit-latency.svg', title, plot(title, x, y, lines));
  }
  return written;
}

/** The figures whose names match, by the number in the name, ascending. */
function pointsOf(figures: readonly Figure[], name: RegExp): [number, number][] {
  return figures
    .flatMap(({ name: each, value }): [number, number][] => {
      const match = name.exec(each);
      return match === null ? [] : [[Number(match[1]), value]];
    })
    .toSorted(([a], [b]) => a - b);
}
