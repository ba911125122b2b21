/** What a command of `seawall` is: its shape on the command line, and what it does. */
import type { CommandLine } from './command-line.ts';
import type { CommandShape } from './command-shape.ts';
import type { ExitCode } from './exit-codes.ts';
import type { JsonDocument } from './json.ts';
import type { Terminal } from './terminal.ts';

/** What a command found, for programs and for people; printed once, when it has ended. */
export interface Report {
  readonly exitCode: ExitCode;
  readonly document: JsonDocument;
  readonly lines: readonly string[];
}

export interface Command extends CommandShape {
  readonly summary: string;
  /** Paragraphs of the command's own help. */
  readonly details: readonly string[];
  readonly examples: readonly { readonly line: string; readonly says: string }[];
  /** Commands that run for long print as they go, JSON as one document a line, and return only an exit code. */
  run(line: CommandLine, terminal: Terminal): Promise<Report | ExitCode>;
}
