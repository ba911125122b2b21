/** Where a command's words go: results to stdout, as text or JSON; failures, hints and progress to stderr. */
import type { JsonDocument } from '../json.ts';
import { ElapsedLine } from './elapsed-line.ts';
import { ProgressBar } from './progress-bar.ts';

export interface TerminalOptions {
  readonly json: boolean;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: NodeJS.ProcessEnv;
}

export type OnProgress = (done: number, total: number | undefined) => void;

export class Terminal {
  readonly json: boolean;
  readonly #options: TerminalOptions;
  readonly #drawsBars: boolean;
  readonly #color: boolean;
  #bar: { erase(): void } | undefined;

  constructor(options: TerminalOptions) {
    this.json = options.json;
    this.#options = options;
    const { stderr, env } = options;
    const dumb = env['TERM'] === 'dumb';
    this.#drawsBars = stderr.isTTY && !dumb && !options.json;
    this.#color = stderr.isTTY && !dumb && (env['NO_COLOR'] ?? '') === '';
    // The reader may close the pipe (seawall … | head). The work and its exit code must not change because of that.
    for (const stream of [options.stdout, stderr]) stream.on('error', () => undefined);
  }

  /** A result: in JSON the document, as one line; else the lines for people. */
  print(document: JsonDocument, lines: readonly string[]): void {
    this.#bar?.erase();
    const text = this.json ? JSON.stringify(document) : lines.join('\n');
    if (text !== '') this.#options.stdout.write(`${text}\n`);
  }

  /** A line on stderr, for people only: nothing with --json. */
  note(line: string): void {
    if (this.json) return;
    this.#bar?.erase();
    this.#options.stderr.write(`${line}\n`);
  }

  /** A failure's first words, in red if colours are wanted. */
  alarm(words: string): string {
    return this.#color ? `\x1b[31m${words}\x1b[39m` : words;
  }

  /** Begins a progress bar; there is one at a time. If none is wanted, the reports are dropped. */
  progress(label: string, unit: 'bytes' | 'objects'): OnProgress {
    this.endProgress();
    if (!this.#drawsBars) return () => undefined;
    const look = { color: this.#color, unit };
    const bar = new ProgressBar(this.#options.stderr, label, look, () => performance.now());
    this.#bar = bar;
    return (done, total) => {
      if (this.#bar === bar) bar.update(done, total);
    };
  }

  /** Shows how long work has taken that reports no progress itself. */
  async whileWaiting<T>(label: string, work: () => Promise<T>): Promise<T> {
    this.endProgress();
    if (!this.#drawsBars) return work();
    using line = new ElapsedLine(this.#options.stderr, label, () => performance.now());
    this.#bar = line;
    return await work();
  }

  endProgress(): void {
    this.#bar?.erase();
    this.#bar = undefined;
  }
}
