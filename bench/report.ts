/** The figures as text for a terminal, and as the table of docs/BENCHMARKS.md, what was missed first. */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { formatFigure, formatTarget, met, type Figure } from './figure.ts';

const PAGE = join(import.meta.dirname, '../docs/BENCHMARKS.md');
const BEGIN = '<!-- figures: written by npm run bench -- --write -->';
const END = '<!-- end of figures -->';

export function asText(figures: readonly Figure[]): string {
  return figures.map((figure) => `${verdict(figure).padEnd(7)} ${figure.what}: ${withTarget(figure)}\n`).join('');
}

function withTarget(figure: Figure): string {
  const target = formatTarget(figure);
  return formatFigure(figure) + (target === '' ? '' : ` (${target})`);
}

function verdict(figure: Figure): string {
  const is = met(figure);
  return is === undefined ? '' : is ? 'met' : 'missed';
}

/** Replaces the table between the two marks of the page; what stands around it is written by people. */
export function writeReport(figures: readonly Figure[]): void {
  const page = readFileSync(PAGE, 'utf8');
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${PAGE} has lost the marks around its table`);
  const order = ['missed', 'met', ''];
  const sorted = figures.toSorted((a, b) => order.indexOf(verdict(a)) - order.indexOf(verdict(b)));
  const rows = sorted.map((figure) => {
    const spread = `${formatFigure({ ...figure, value: Math.min(...figure.samples) })} – ${formatFigure({ ...figure, value: Math.max(...figure.samples) })}`;
    return `| ${figure.what} | ${formatFigure(figure)} | ${spread} (${figure.samples.length}) | ${formatTarget(figure)} | ${verdict(figure)} |`;
  });
  const [cpu] = cpus();
  const table = [
    BEGIN,
    '',
    `Measured on ${cpus().length} cores (${cpu?.model ?? 'unknown'}), Node ${process.versions.node}.`,
    '',
    '| figure | median | range (samples) | target | |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
  writeFileSync(PAGE, page.slice(0, begin) + table + page.slice(end));
}
