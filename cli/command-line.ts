/** One command's operands and flags, parsed and checked against what the command takes. */
import { parseArgs } from 'node:util';
import { parseDuration } from '../replica/terms/units.ts';
import type { CommandShape, Flag, Operand } from './command-shape.ts';
import { UsageError } from './exit-codes.ts';
import { nearest } from './nearest.ts';

/** Flags that every command has. */
export const COMMON_FLAGS = {
  json: { help: 'print JSON: one document, or one a line from commands that run on' },
  help: { short: 'h', help: 'show this help' },
} as const satisfies Readonly<Record<string, Flag>>;

export class CommandLine {
  readonly #operands: readonly string[];
  readonly #flags: ReadonlyMap<string, string | true>;

  constructor(operands: readonly string[], flags: ReadonlyMap<string, string | true>) {
    this.#operands = operands;
    this.#flags = flags;
  }

  operand(index: number): string {
    return this.#operands[index]!;
  }

  /** Undefined if it is optional and was left out. */
  optionalOperand(index: number): string | undefined {
    return this.#operands[index];
  }

  /** Whether a switch, or any flag, was given. */
  has(name: string): boolean {
    return this.#flags.has(name);
  }

  text(name: string): string | undefined {
    const value = this.#flags.get(name);
    return value === true ? undefined : value;
  }

  /** Throws a UsageError if the flag was not given. */
  required(name: string, placeholder: string): string {
    const value = this.text(name);
    if (value === undefined) throw new UsageError(`--${name} <${placeholder}> is missing`);
    return value;
  }

  /** A number of at least `least`. */
  number(name: string, least: number): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const number = /^\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN;
    if (!(number >= least)) throw new UsageError(`--${name} must be a number of at least ${least}, not ${value}`);
    return number;
  }

  /** A whole number of at least `least`. */
  count(name: string, least: number): number | undefined {
    const number = this.number(name, least);
    if (number !== undefined && !Number.isSafeInteger(number)) {
      throw new UsageError(`--${name} must be a whole number, not ${number}`);
    }
    return number;
  }

  /** Milliseconds. */
  duration(name: string): number | undefined {
    const value = this.text(name);
    return value === undefined ? undefined : parseDuration(value, `--${name}`);
  }

  oneOf<const T extends string>(name: string, allowed: readonly T[]): T | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const found = allowed.find((candidate) => candidate === value);
    if (found === undefined) throw new UsageError(`--${name} must be ${allowed.join(' or ')}, not ${value}`);
    return found;
  }
}

/**
 * Reads what follows the command's name. Throws a UsageError that names what is wrong, and the nearest known flag.
 * With --help or -h, nothing else is checked.
 */
export function parseCommandLine(command: CommandShape, args: readonly string[]): CommandLine {
  const known: Readonly<Record<string, Flag>> = { ...command.flags, ...COMMON_FLAGS };
  const options = Object.fromEntries(
    Object.entries(known).map(([name, { value, short }]) => [
      name,
      { type: value === undefined ? ('boolean' as const) : ('string' as const), ...(short !== undefined && { short }) },
    ]),
  );
  const { tokens } = parseArgs({ args: [...args], options, strict: false, tokens: true });
  if (tokens.some((token) => token.kind === 'option' && token.name === 'help')) {
    return new CommandLine([], new Map([['help', true]]));
  }
  const operands: string[] = [];
  const flags = new Map<string, string | true>();
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value);
    if (token.kind !== 'option') continue;
    const { name, rawName } = token;
    const flag = Object.hasOwn(known, name) ? known[name] : undefined;
    if (flag === undefined) throw new UsageError(unknownFlag(command, rawName, known));
    if (flags.has(name)) throw new UsageError(`${rawName} was given twice`);
    if (flag.value === undefined) {
      if (token.value !== undefined) throw new UsageError(`${rawName} takes no value; it got ${token.value}`);
      flags.set(name, true);
      continue;
    }
    const looksLikeFlag = !token.inlineValue && /^-[^\d]/.test(token.value ?? '');
    if (token.value === undefined || token.value === '' || looksLikeFlag) {
      throw new UsageError(`${rawName} needs a value: ${rawName} <${flag.value}>`);
    }
    flags.set(name, token.value);
  }
  checkOperands(command, operands);
  return new CommandLine(operands, flags);
}

function unknownFlag(command: CommandShape, rawName: string, known: Readonly<Record<string, Flag>>): string {
  const meant = nearest(rawName.replace(/^-+/, ''), Object.keys(known));
  const hint = meant === undefined ? `see seawall ${command.name} --help` : `did you mean --${meant}?`;
  return `unknown flag ${rawName}; ${hint}`;
}

export function missingOperand({ name, help }: Operand): UsageError {
  return new UsageError(`<${name}> is missing: ${help}`);
}

function checkOperands(command: CommandShape, operands: readonly string[]): void {
  const missing = command.operands[operands.length];
  if (missing !== undefined && missing.optional !== true) throw missingOperand(missing);
  const extra = operands[command.operands.length];
  if (extra !== undefined) throw new UsageError(`${JSON.stringify(extra)} is one operand more than the command takes`);
  const empty = command.operands.find((_, i) => operands[i] === '');
  if (empty !== undefined) throw new UsageError(`<${empty.name}> is empty`);
}
