/** Plots as SVG, in colours that show on light and on dark: lines over two axes, each linear or logarithmic. */

export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Axis {
  readonly title: string;
  readonly ticks: readonly number[];
  readonly label?: (tick: number) => string;
  readonly logarithmic?: boolean;
}

const WIDTH = 640;
const HEIGHT = 360;
const EDGE = { left: 70, right: 150, top: 16, bottom: 48 };
const COLOURS = ['#3b82f6', '#d97706', '#16a34a', '#c026d3'];
const INK = '#808080';

export function plot(title: string, x: Axis, y: Axis, lines: readonly Line[]): string {
  const across = scale(x, EDGE.left, WIDTH - EDGE.right);
  const up = scale(y, HEIGHT - EDGE.bottom, EDGE.top);
  const parts: string[] = [];
  const text = (at: readonly [number, number], words: string, anchor = 'middle', colour = INK): void => {
    parts.push(
      `<text x="${fixed(at[0])}" y="${fixed(at[1])}" text-anchor="${anchor}" fill="${colour}">${words}</text>`,
    );
  };
  const rule = (x1: number, y1: number, x2: number, y2: number): void => {
    parts.push(`<path d="M${fixed(x1)} ${fixed(y1)}L${fixed(x2)} ${fixed(y2)}" stroke="${INK}" stroke-opacity=".35"/>`);
  };
  for (const tick of x.ticks) {
    rule(across(tick), EDGE.top, across(tick), HEIGHT - EDGE.bottom);
    text([across(tick), HEIGHT - EDGE.bottom + 16], x.label?.(tick) ?? String(tick));
  }
  for (const tick of y.ticks) {
    rule(EDGE.left, up(tick), WIDTH - EDGE.right, up(tick));
    text([EDGE.left - 6, up(tick) + 4], y.label?.(tick) ?? String(tick), 'end');
  }
  text([(EDGE.left + WIDTH - EDGE.right) / 2, HEIGHT - 12], x.title);
  text([4, 12], y.title, 'start');
  for (const [i, { name, points }] of lines.entries()) {
    const colour = COLOURS[i % COLOURS.length]!;
    const path = points.map(([px, py], j) => `${j === 0 ? 'M' : 'L'}${fixed(across(px))} ${fixed(up(py))}`).join('');
    parts.push(`<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const [px, py] of points) {
      parts.push(`<circle cx="${fixed(across(px))}" cy="${fixed(up(py))}" r="3" fill="${colour}"/>`);
    }
    text([WIDTH - EDGE.right + 10, EDGE.top + 16 + i * 18], name, 'start', colour);
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" role="img">`,
    `<title>${title}</title>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

/** Powers of ten that enclose the values. */
export function decades(values: readonly number[]): number[] {
  const first = Math.floor(Math.log10(Math.min(...values)));
  const last = Math.ceil(Math.log10(Math.max(...values)));
  return Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
}

function scale({ ticks, logarithmic = false }: Axis, from: number, to: number): (value: number) => number {
  const place = (value: number): number => (logarithmic ? Math.log10(value) : value);
  const [least, most] = [place(Math.min(...ticks)), place(Math.max(...ticks))];
  return (value) => from + ((place(value) - least) / (most - least || 1)) * (to - from);
}

function fixed(value: number): string {
  return value.toFixed(1);
}
