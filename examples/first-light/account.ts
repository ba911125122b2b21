/** The running account on the terminal: headings, lines, a table, proofs. Colours only if they are wanted. */
import type { Proof } from './proofs.ts';

type Ink = 'bold' | 'dim' | 'green' | 'red';

const CODES: Readonly<Record<Ink, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  green: [32, 39],
  red: [31, 39],
};

export interface Column {
  readonly title: string;
  readonly width: number;
}

export class Account {
  readonly #out: NodeJS.WriteStream;
  readonly #coloured: boolean;
  #proofs = 0;
  #failed = 0;
  #headings = 0;

  constructor(out: NodeJS.WriteStream, environment: NodeJS.ProcessEnv) {
    this.#out = out;
    this.#coloured = out.isTTY && (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb';
  }

  get proofs(): number {
    return this.#proofs;
  }

  /** Proofs that did not hold. */
  get failed(): number {
    return this.#failed;
  }

  title(text: string, ...below: readonly string[]): void {
    this.#write('', this.#ink(text, 'bold'), ...below.map((line) => this.#ink(line, 'dim')));
  }

  heading(text: string): void {
    this.#write('', this.#ink(`${++this.#headings}  ${text}`, 'bold'));
  }

  line(text: string): void {
    this.#write(`   ${text}`);
  }

  note(text: string): void {
    this.#write(this.#ink(`   ${text}`, 'dim'));
  }

  columns(columns: readonly Column[]): void {
    this.note(columns.map(({ title, width }) => title.padStart(width)).join('  '));
  }

  row(columns: readonly Column[], values: readonly string[]): void {
    this.line(columns.map(({ width }, i) => (values[i] ?? '').padStart(width)).join('  '));
  }

  /** An event that is not a row of the table. */
  event(what: string, detail: string): void {
    this.note(`· ${what.padEnd(10)}  ${detail}`);
  }

  prove(proofs: readonly Proof[]): void {
    for (const { name, held, detail } of proofs) {
      this.#proofs++;
      if (!held) this.#failed++;
      const mark = held ? this.#ink('✓', 'green') : this.#ink('✗', 'red');
      this.line(`${mark} ${name.padEnd(11)} ${held ? detail : this.#ink(detail, 'red')}`);
    }
  }

  verdict(text: string, good: boolean): void {
    this.#write('', this.#ink(text, 'bold', good ? 'green' : 'red'));
  }

  #ink(text: string, ...inks: readonly Ink[]): string {
    if (!this.#coloured) return text;
    return inks.reduce((inked, ink) => `\u001b[${CODES[ink][0]}m${inked}\u001b[${CODES[ink][1]}m`, text);
  }

  #write(...lines: readonly string[]): void {
    this.#out.write(lines.map((line) => `${line}\n`).join(''));
  }
}

/** `6.3 MB`, always with one decimal, so that columns stay aligned. */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

export function thousands(count: number): string {
  return count.toLocaleString('en');
}

export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

/** `430 ms`, if it took less than a second. */
export function shortTime(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : seconds(milliseconds);
}
