/** The `seawall` command: finds the command, runs it, and prints its result. */
import '../replica/runtime/require-node.ts';
import { readFile } from 'node:fs/promises';
import { setFlagsFromString } from 'node:v8';
import type { Command } from './command.ts';
import { parseCommandLine, type CommandLine } from './command-line.ts';
import { EXIT, exitCodeOf, UsageError, type ExitCode } from './exit-codes.ts';
import { failureDocument, failureMessage, hintsFor } from './failure.ts';
import { helpOf, overview } from './help.ts';
import { dieOf, Interrupted } from './interruption.ts';
import { nearest } from './nearest.ts';
import { Terminal } from './terminal/terminal.ts';

// Most allocations here die at once, so a larger young generation would only cost memory (some 100 MB).
setFlagsFromString('--semi-space-growth-factor=1');

/** Each command is loaded only when it is needed: loading all of them takes as long as most of them run. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  ship: async () => (await import('./commands/ship.ts')).shipCommand,
  restore: async () => (await import('./commands/restore.ts')).restoreCommand,
  list: async () => (await import('./commands/list.ts')).listCommand,
  status: async () => (await import('./commands/status.ts')).statusCommand,
  verify: async () => (await import('./commands/verify.ts')).verifyCommand,
  compact: async () => (await import('./commands/compact.ts')).compactCommand,
  retain: async () => (await import('./commands/retain.ts')).retainCommand,
  adopt: async () => (await import('./commands/adopt.ts')).adoptCommand,
  ctl: async () => (await import('./commands/ctl.ts')).ctlCommand,
  maintain: async () => (await import('./commands/maintain.ts')).maintainCommand,
};

async function main(argv: readonly string[]): Promise<number> {
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
    if (terminal.json) return fail(terminal, new UsageError('no command was given'), '');
    stderr.write(`${await overviewOfAll()}\n`);
    return EXIT.usage;
  }
  if (first === '--help' || first === '-h' || (first === 'help' && rest.length === 0)) {
    stdout.write(`${await overviewOfAll()}\n`);
    return EXIT.ok;
  }
  const name = first === 'help' ? rest[0]! : first;
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load === undefined) return fail(terminal, new UsageError(unknownCommand(name)), '');
  const command = await load();
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

async function overviewOfAll(): Promise<string> {
  return overview(await Promise.all(Object.values(COMMANDS).map((load) => load())));
}

function fail(terminal: Terminal, error: unknown, command: string, line?: CommandLine): ExitCode {
  terminal.endProgress();
  const hints = hintsFor(error, command, line);
  if (terminal.json) terminal.print({ error: failureDocument(error) }, []);
  else {
    const name = command === '' ? 'seawall' : `seawall ${command}`;
    terminal.note(`${terminal.alarm(`${name}:`)} ${failureMessage(error)}`);
    for (const hint of hints) terminal.note(`  → ${hint}`);
  }
  if (error instanceof Interrupted) dieOf(error.signal);
  return exitCodeOf(error);
}

function unknownCommand(name: string): string {
  if (name.startsWith('-')) return `unknown flag ${name} before the command`;
  const meant = nearest(name, Object.keys(COMMANDS));
  return `unknown command ${JSON.stringify(name)}${meant === undefined ? '' : `; did you mean ${meant}?`}`;
}

/** From the package.json above this file, as source or as built. */
async function packageVersion(): Promise<string> {
  for (const above of ['../package.json', '../../package.json']) {
    const text = await readFile(new URL(above, import.meta.url), 'utf8').catch(() => undefined);
    if (text !== undefined) return (JSON.parse(text) as { readonly version: string }).version;
  }
  throw new Error('the package.json of seawall is missing');
}

process.exitCode = await main(process.argv.slice(2));
