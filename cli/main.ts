/** The `seawall` command: finds the command that is meant, runs it, and reports how it went. */
import '../replica/require-node.ts';
import { readFile } from 'node:fs/promises';
import type { Command } from './command.ts';
import { parseCommandLine, type CommandLine } from './command-line.ts';
import { compactCommand } from './commands/compact.ts';
import { listCommand } from './commands/list.ts';
import { maintainCommand } from './commands/maintain.ts';
import { restoreCommand } from './commands/restore.ts';
import { retainCommand } from './commands/retain.ts';
import { shipCommand } from './commands/ship.ts';
import { statusCommand } from './commands/status.ts';
import { verifyCommand } from './commands/verify.ts';
import { EXIT, exitCodeOf, UsageError, type ExitCode } from './exit-codes.ts';
import { failureDocument, failureMessage, hintsFor } from './failure.ts';
import { helpOf, overview } from './help.ts';
import { dieOf, Interrupted } from './interruption.ts';
import { nearest } from './nearest.ts';
import { Terminal } from './terminal.ts';

const COMMANDS: readonly Command[] = [
  shipCommand,
  restoreCommand,
  listCommand,
  statusCommand,
  verifyCommand,
  compactCommand,
  retainCommand,
  maintainCommand,
];

async function main(argv: readonly string[]): Promise<ExitCode> {
  const { stdout, stderr, env } = process;
  const beforeDashes = argv.slice(0, argv.includes('--') ? argv.indexOf('--') : undefined);
  const terminal = new Terminal({ json: beforeDashes.includes('--json'), stdout, stderr, env });
  const args = [...argv];
  while (args[0] === '--json') args.shift();
  const [first, ...rest] = args;
  if (first === '--version' || first === '-V') {
    const version = await packageVersion();
    terminal.print({ version }, [version]);
    return EXIT.ok;
  }
  if (first === undefined) {
    if (terminal.json) return fail(terminal, new UsageError('no command is given'), '');
    stderr.write(`${overview(COMMANDS)}\n`);
    return EXIT.usage;
  }
  if (first === '--help' || first === '-h' || (first === 'help' && rest.length === 0)) {
    stdout.write(`${overview(COMMANDS)}\n`);
    return EXIT.ok;
  }
  const name = first === 'help' ? rest[0]! : first;
  const command = COMMANDS.find((each) => each.name === name);
  if (command === undefined) return fail(terminal, new UsageError(unknownCommand(name)), '');
  let line: CommandLine | undefined;
  try {
    line = parseCommandLine(command, first === 'help' ? ['--help'] : rest);
    if (line.has('help')) {
      stdout.write(`${helpOf(command)}\n`);
      return EXIT.ok;
    }
    const report = await command.run(line, terminal);
    terminal.endProgress();
    if (typeof report === 'number') return report;
    terminal.print(report.document, report.lines);
    return report.exitCode;
  } catch (error) {
    return fail(terminal, error, command.name, line);
  }
}

function fail(terminal: Terminal, error: unknown, command: string, line?: CommandLine): ExitCode {
  terminal.endProgress();
  const hints = hintsFor(error, command, line);
  if (terminal.json) terminal.print({ error: failureDocument(error) }, []);
  else {
    const name = command === '' ? 'seawall' : `seawall ${command}`;
    terminal.note(
      `${terminal.alarm(`${name}:`)} ${error instanceof Interrupted ? error.message : failureMessage(error)}`,
    );
    for (const hint of hints) terminal.note(`  → ${hint}`);
  }
  if (error instanceof Interrupted) dieOf(error.signal);
  return exitCodeOf(error);
}

function unknownCommand(name: string): string {
  if (name.startsWith('-')) return `unknown flag ${name} before a command`;
  const meant = nearest(
    name,
    COMMANDS.map((command) => command.name),
  );
  return `unknown command ${JSON.stringify(name)}${meant === undefined ? '' : `; did you mean ${meant}?`}`;
}

/** From the package.json above this file, as source or as built. */
async function packageVersion(): Promise<string> {
  for (const above of ['../package.json', '../../package.json']) {
    const text = await readFile(new URL(above, import.meta.url), 'utf8').catch(() => undefined);
    if (text !== undefined) return (JSON.parse(text) as { readonly version: string }).version;
  }
  throw new Error('the package.json of seawall is not there');
}

process.exitCode = await main(process.argv.slice(2));
