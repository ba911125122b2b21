/** Templates of backups, made with the feature flags of cdk.json and without bundling anything. */
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { Code } from 'aws-cdk-lib/aws-lambda';
import type { FunctionName, SqliteBackupProps } from '../../infra/props.ts';
import { SqliteBackup } from '../../infra/sqlite-backup.ts';

const { context } = JSON.parse(readFileSync(join(import.meta.dirname, '../../cdk.json'), 'utf8')) as {
  readonly context: Record<string, unknown>;
};

const code = Code.fromInline('exports.handler = async () => {};');
export const CODE: Readonly<Record<FunctionName, Code>> = { compact: code, retain: code, restore: code, drill: code };

// CDK's check of the template's types takes seconds; `cdk synth` makes it in test/slow/synth.test.ts.
process.env['CDK_VALIDATION'] = 'false';

export function testApp(): App {
  return new App({ context, outdir: mkdtempSync(join(tmpdir(), 'seawall-synth-')) });
}

export function testStack(app = testApp()): Stack {
  return new Stack(app, 'Test', { env: { account: '111122223333', region: 'eu-central-1' } });
}

/** The template of a stack with one backup, and what `more` adds. */
export function templateOf(
  props: SqliteBackupProps | ((stack: Stack) => SqliteBackupProps) = {},
  more?: (stack: Stack, backup: SqliteBackup) => void,
): Template {
  const stack = testStack();
  const backup = new SqliteBackup(stack, 'Backup', {
    code: CODE,
    ...(typeof props === 'function' ? props(stack) : props),
  });
  more?.(stack, backup);
  return Template.fromStack(stack);
}

interface Resource {
  readonly Type: string;
  readonly Properties: Record<string, unknown>;
  readonly DependsOn?: readonly string[];
  readonly DeletionPolicy?: string;
}

export function resources(template: Template, type: string): Record<string, Resource> {
  return template.findResources(type) as Record<string, Resource>;
}

/** References as text: `<LogicalId.Arn>`; joins joined. */
export function flat(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(flat);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  const [[kind, argument] = ['', undefined]] = entries;
  if (entries.length === 1 && kind === 'Ref') return `<${String(argument)}>`;
  if (entries.length === 1 && kind === 'Fn::GetAtt') return `<${(argument as string[]).join('.')}>`;
  if (entries.length === 1 && kind === 'Fn::Join') {
    const [delimiter, parts] = argument as [string, unknown[]];
    return parts.map(flat).join(delimiter);
  }
  return Object.fromEntries(entries.map(([key, each]) => [key, flat(each)]));
}

/** The one resource of a type whose logical id begins with `id`; references in its properties as text. */
export function only(
  from: Template,
  type: string,
  id: string,
): { readonly logicalId: string; readonly properties: Record<string, unknown> } {
  const found = Object.entries(resources(from, type)).filter(([logicalId]) => logicalId.startsWith(id));
  if (found.length !== 1) throw new Error(`${type} ${id}: ${found.map(([logicalId]) => logicalId).join(', ')}`);
  const [logicalId, { Properties }] = found[0]!;
  return { logicalId, properties: flat(Properties) as Record<string, unknown> };
}
