/** The help texts, made from each command's description of itself. */
import type { Command } from './command.ts';
import type { Flag } from './command-shape.ts';
import { COMMON_FLAGS } from './command-line.ts';

const WIDTH = 100;

const REPLICA_HELP = `A replica is a folder (./bucket, file:///srv/bucket/app) or a place in S3
(s3://bucket/prefix?region=…&endpoint=…). Credentials are found as the AWS tools find them.`;

export function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    'seawall keeps running SQLite databases backed up to S3, and brings them back.',
    '',
    'Usage: seawall <command> …',
    '',
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    'seawall <command> --help shows the flags of one command, with examples. seawall --version prints the version.',
    '',
    REPLICA_HELP,
    '',
    'Exit codes: 0 success, 1 failure, 2 wrong usage, 3 nothing there or point not restorable, 4 corrupt.',
  ].join('\n');
}

export function helpOf(command: Command): string {
  const operands = command.operands
    .map(({ name, optional }) => (optional === true ? ` [<${name}>]` : ` <${name}>`))
    .join('');
  const flags = { ...command.flags, ...COMMON_FLAGS };
  const entries = [
    ...command.operands.map(({ name, help }) => [`<${name}>`, help] as const),
    ...Object.entries(flags).map(([name, flag]) => [spelling(name, flag), meaning(flag)] as const),
  ];
  const width = Math.max(...entries.map(([left]) => left.length));
  return [
    `seawall ${command.name}: ${command.summary}`,
    '',
    `Usage: seawall ${command.name}${operands} [flags]`,
    '',
    ...command.details.flatMap((paragraph) => [wrap(paragraph, WIDTH), '']),
    ...entries.map(([left, right]) => `  ${left.padEnd(width)}  ${wrap(right, WIDTH - width - 4, width + 4)}`),
    '',
    'Examples:',
    ...command.examples.flatMap(({ line, says }) => [`  # ${says}`, `  ${line}`]),
  ].join('\n');
}

function spelling(name: string, flag: Flag): string {
  const short = flag.short === undefined ? '' : `-${flag.short}, `;
  return `${short}--${name}${flag.value === undefined ? '' : ` <${flag.value}>`}`;
}

function meaning(flag: Flag): string {
  return flag.default === undefined ? flag.help : `${flag.help} [${flag.default}]`;
}

function wrap(text: string, width: number, indent = 0): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.join(`\n${' '.repeat(indent)}`);
}
