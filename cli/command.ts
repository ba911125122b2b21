/** What a command of `seawall` is: its shape on the command line, and what it does. */
import type { CommandLine } from './command-line.ts';
import type { ExitCode } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

export interface Operand {
  readonly name: string;
  readonly help: string;
  /** May be left out; only the last ones may. The command says when. */
  readonly optional?: boolean;
}

export interface Flag {
  /** What stands for the value in the help; a flag without it is a switch. */
  readonly value?: string;
  readonly short?: string;
  readonly help: string;
  /** What holds when the flag is not given; for the help. */
  readonly default?: string;
}

export type JsonValue =
  undefined | null | boolean | number | string | readonly JsonValue[] | { readonly [name: string]: JsonValue };
export type JsonDocument = Readonly<Record<string, JsonValue>>;

/** What a command found, for programs and for people; printed once, when it has ended. */
export interface Report {
  readonly exitCode: ExitCode;
  readonly document: JsonDocument;
  readonly lines: readonly string[];
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** Paragraphs of the command's own help. */
  readonly details: readonly string[];
  readonly operands: readonly Operand[];
  readonly flags: Readonly<Record<string, Flag>>;
  readonly examples: readonly { readonly line: string; readonly says: string }[];
  /** Commands that run for long print as they go, JSON as one document a line, and return only an exit code. */
  run(line: CommandLine, terminal: Terminal): Promise<Report | ExitCode>;
}
