/** What a command line may hold: what the parser and the help need to know about a command. */

export interface Operand {
  readonly name: string;
  readonly help: string;
  /** Can be left out. Only the last operands can; the command decides when. */
  readonly optional?: boolean;
}

export interface Flag {
  /** Stands for the value in the help. A flag without it is a switch. */
  readonly value?: string;
  readonly short?: string;
  readonly help: string;
  /** The value if the flag is not given, as the help shows it. */
  readonly default?: string;
}

/** The name of a command, and what it takes. */
export interface CommandShape {
  readonly name: string;
  readonly operands: readonly Operand[];
  readonly flags: Readonly<Record<string, Flag>>;
}
