/** What a command of `seawall` is: its operands and flags, and what it does. */
import type { CommandLine } from './command-line.ts';
import type { CommandShape } from './command-shape.ts';
import type { ExitCode } from './exit-codes.ts';
import type { JsonDocument } from './json.ts';
import type { Terminal } from './terminal/terminal.ts';

/** The result of a command, for programs and for people. It is printed once, when the command has ended. */
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
  /** A command that runs for long prints as it goes (JSON: one document a line) and returns only an exit code. */
  run(line: CommandLine, terminal: Terminal): Promise<Report | number>;
}
