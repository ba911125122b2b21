/** What a command line may hold: what the parser and the help need to know of a command. */

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

/** What a command is called and takes. */
export interface CommandShape {
  readonly name: string;
  readonly operands: readonly Operand[];
  readonly flags: Readonly<Record<string, Flag>>;
}
