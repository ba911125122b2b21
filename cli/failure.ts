/** Failures for programs and for people: what went wrong, where, and what to do about it. */
import { SeawallError, type ErrorFacts } from '../replica/terms/errors.ts';
import type { JsonDocument } from './json.ts';
import type { CommandLine } from './command-line.ts';
import { UsageError } from './exit-codes.ts';
import { Interrupted } from './interruption.ts';

/** The JSON of a failure: kind, code, message, and the facts beside them. */
export function failureDocument(error: unknown): JsonDocument {
  if (error instanceof SeawallError) {
    return { kind: error.kind, code: error.code, message: error.message, ...error.facts };
  }
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof UsageError) return { kind: 'usage', code: 'USAGE', message };
  if (error instanceof Interrupted) return { kind: 'interrupted', code: error.signal, message };
  const code = (error as { readonly code?: unknown } | null)?.code;
  return { kind: 'unknown', code: typeof code === 'string' ? code : 'UNKNOWN', message };
}

/** For people. An unexpected failure is a bug, so its stack is added for the report. */
export function failureMessage(error: unknown): string {
  if (error instanceof SeawallError || error instanceof UsageError || error instanceof Interrupted)
    return error.message;
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `unexpected error, a bug in seawall; please report it\n${stack}`;
}

/** What to do next, one command or sentence a line. Most messages say it already. */
export function hintsFor(error: unknown, command: string, line: CommandLine | undefined): readonly string[] {
  if (error instanceof UsageError) {
    return [`seawall ${command === '' ? '' : `${command} `}--help shows what there is`];
  }
  if (!(error instanceof SeawallError) || line === undefined) return [];
  const place = line.optionalOperand(command === 'ship' ? 1 : 0);
  const replica = place === undefined ? '<replica>' : quoted(place); // a restore by its function names none
  switch (error.kind) {
    case 'point':
      return [...nearPoints(error.facts, line, replica), `seawall list ${replica} shows what can be restored`];
    case 'corrupt':
      return command === 'verify'
        ? []
        : [
            `seawall verify ${replica} names everything that is damaged`,
            `seawall list ${replica} shows which other points can be restored with --at`,
          ];
    case 'exists':
      return command === 'restore' && error.code === 'TARGET_EXISTS' ? ['--force replaces it'] : [];
    case 'missing':
      if (error.code === 'DATABASE_MISSING') return ['--restore if-missing brings it back from the replica first'];
      return error.code === 'REPLICA_EMPTY' ? [`seawall ship <database> ${replica} makes one there`] : [];
    case 'refused':
    case 'denied':
    case 'unreachable':
    case 'unsupported':
    case 'conflict':
    case 'local':
      return [];
  }
}

function nearPoints(facts: ErrorFacts, line: CommandLine, replica: string): readonly string[] {
  const output = line.text('output');
  return [facts.before, facts.after]
    .filter((point) => point !== undefined)
    .map((point) => `seawall restore ${replica} -o ${quoted(output ?? 'restored.db')} --at ${point}`);
}

/** Quotes a word for a POSIX shell. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
