/** A progress bar with rate and time left, on a terminal only. */
import { formatSize } from '../../replica/terms/units.ts';

export interface ProgressState {
  readonly label: string;
  readonly done: number;
  /** Undefined while unknown: then there is no bar and no time left. */
  readonly total: number | undefined;
  /** Units a second; undefined while too little is known. */
  readonly rate: number | undefined;
}

export interface ProgressLook {
  /** Characters in a line of the terminal. */
  readonly columns: number;
  readonly color: boolean;
  readonly unit: 'bytes' | 'objects';
}

const WIDEST_BAR = 40;
const NARROWEST_BAR = 8;

/**
 * One line, never longer than `columns − 1` characters, so that no terminal wraps it. If there is no room,
 * what matters least goes first: the bar shrinks, then the amount, the rate and the time left are dropped.
 */
export function renderProgress(state: ProgressState, look: ProgressLook): string {
  const room = look.columns - 1;
  const share = shareOf(state);
  const percent = share === undefined ? undefined : `${Math.floor(share * 100)}%`.padStart(4);
  const rate = state.rate === undefined ? undefined : `${amount(state.rate, look)}/s`;
  const left = timeLeft(state);
  const extras = [amountOf(state, look), rate, left === undefined ? undefined : `ETA ${left}`];
  const present = extras.filter((part) => part !== undefined);
  const keepings = [present, present.slice(1), present.slice(-1), []];
  for (const kept of keepings) {
    const words = [state.label, ...(percent === undefined ? [] : [percent]), ...kept].join('  ');
    const forBar = Math.min(WIDEST_BAR, room - words.length - 4);
    if (share !== undefined && forBar >= NARROWEST_BAR) {
      return [state.label, bar(share, forBar, look.color), [percent, ...kept].join('  ')].join('  ');
    }
    if (words.length <= room && (share === undefined || kept.length === 0)) return words;
  }
  return `${state.label} ${percent ?? ''}`.slice(0, Math.max(0, room));
}

function bar(share: number, width: number, color: boolean): string {
  const inner = width - 2;
  const full = Math.floor(share * inner);
  const tip = full < inner && full > 0 ? '>' : '';
  const filled = `${'='.repeat(full - tip.length)}${tip}`;
  return `[${color ? `\x1b[36m${filled}\x1b[39m` : filled}${' '.repeat(inner - full)}]`;
}

function shareOf({ done, total }: ProgressState): number | undefined {
  if (total === undefined) return undefined;
  return total <= 0 ? 1 : Math.max(0, Math.min(1, done / total));
}

function amountOf({ done, total }: ProgressState, look: ProgressLook): string {
  return total === undefined ? amount(done, look) : `${amount(done, look)}/${amount(total, look)}`;
}

function amount(value: number, { unit }: ProgressLook): string {
  return unit === 'bytes'
    ? formatSize(Math.round(value))
    : value < 10
      ? String(Number(value.toFixed(1)))
      : value.toFixed(0);
}

function timeLeft({ done, total, rate }: ProgressState): string | undefined {
  if (total === undefined || rate === undefined || rate <= 0 || done >= total) return undefined;
  const seconds = Math.ceil((total - done) / rate);
  return seconds >= 360_000 ? undefined : clock(seconds);
}

/** Whole seconds as a clock shows them: `1:05`, `2:00:07`. */
export function clock(seconds: number): string {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  const minutes = `${Math.floor((seconds % 3600) / 60)}:${two(seconds % 60)}`;
  return seconds < 3600 ? minutes : `${Math.floor(seconds / 3600)}:${minutes.padStart(5, '0')}`;
}

/** How fast something goes, over the last few seconds. Time is an argument. */
export class Rate {
  static readonly WINDOW = 5000;
  readonly #seen: { readonly at: number; readonly done: number }[] = [];

  /** Takes a sample, `at` in milliseconds. */
  note(at: number, done: number): void {
    const last = this.#seen.at(-1);
    if (last !== undefined && done < last.done) this.#seen.length = 0; // something else has begun
    this.#seen.push({ at, done });
    while (this.#seen.length > 2 && at - this.#seen[1]!.at >= Rate.WINDOW) this.#seen.shift();
  }

  /** Units a second; undefined in the first half second. */
  get perSecond(): number | undefined {
    const [first] = this.#seen;
    const last = this.#seen.at(-1);
    if (first === undefined || last === undefined || last.at - first.at < 500) return undefined;
    return ((last.done - first.done) / (last.at - first.at)) * 1000;
  }
}

/** The part of a terminal's stream that a bar needs. */
export interface BarStream {
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

const REDRAW = 100;
export const ERASE = '\r\x1b[2K';

/** Draws in place, at most ten times a second, and can erase itself. */
export class ProgressBar {
  readonly #stream: BarStream;
  readonly #label: string;
  readonly #look: Omit<ProgressLook, 'columns'>;
  readonly #now: () => number;
  readonly #rate = new Rate();
  #drawnAt = Number.NEGATIVE_INFINITY;
  #visible = false;

  constructor(stream: BarStream, label: string, look: Omit<ProgressLook, 'columns'>, now: () => number) {
    this.#stream = stream;
    this.#label = label;
    this.#look = look;
    this.#now = now;
  }

  update(done: number, total: number | undefined): void {
    const now = this.#now();
    if (now - this.#drawnAt < REDRAW) return;
    this.#drawnAt = now;
    this.#rate.note(now, done);
    // Some pseudo-terminals report zero columns.
    const said = this.#stream.columns ?? 0;
    const columns = said > 0 ? said : 80;
    const state = { label: this.#label, done, total, rate: this.#rate.perSecond };
    this.#stream.write(ERASE + renderProgress(state, { ...this.#look, columns }));
    this.#visible = true;
  }

  /** Takes the bar off the screen; the next update draws it again. */
  erase(): void {
    if (!this.#visible) return;
    this.#stream.write(ERASE);
    this.#visible = false;
    this.#drawnAt = Number.NEGATIVE_INFINITY;
  }
}
