/** The workflows for GitHub Actions: read as YAML, and their commands run as a runner does, with AWS played here. */
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { spawnSync } from 'node:child_process';
import { after, test } from 'node:test';
import { Shipper } from '../../shipper/index.ts';
import { MAIN } from '../cli/seawall.ts';
import { startLambdaServer } from '../functions/lambda-server.ts';
import { BUCKET, setStage } from '../functions/stage.ts';
import { Scratch } from '../history/scratch.ts';
import './from-source.ts';
import { start, type Run } from './run.ts';

interface Step {
  readonly name?: string;
  readonly uses?: string;
  readonly run?: string;
}

interface Workflow {
  readonly on: Readonly<Record<string, unknown>>;
  readonly permissions: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
  readonly jobs: { readonly restore: { readonly steps: readonly Step[] } };
}

/** The reader of YAML that aws-cdk-lib brings with it. */
const { parse } = createRequire(createRequire(import.meta.url).resolve('aws-cdk-lib'))('yaml') as {
  readonly parse: (text: string) => unknown;
};

function workflow(name: string): Workflow {
  const url = new URL(`../../examples/github-actions/${name}`, import.meta.url);
  return parse(readFileSync(url, 'utf8')) as Workflow;
}

const tools = ['sqlite3', 'jq'].every((tool) => spawnSync(tool, ['--version']).status === 0);
const stage = await setStage();
const { BackupStack } = await import('../../examples/github-actions/role.ts');
const { handler } = await import('../../functions/restore/handler.ts');
const lambda = await startLambdaServer({ 'backup-restore': handler });
const scratch = new Scratch();
after(async () => {
  scratch[Symbol.dispose]();
  await lambda[Symbol.asyncDispose]();
  await stage[Symbol.asyncDispose]();
});

/** A runner's working folder, in which the step "Install" has run. */
function runner(name: string): string {
  const folder = join(scratch.path, name);
  const bin = join(folder, 'node_modules', '.bin');
  mkdirSync(bin, { recursive: true });
  const command = join(folder, 'seawall.sh');
  writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`, { mode: 0o755 });
  symlinkSync(command, join(bin, 'seawall'));
  return folder;
}

/** As GitHub runs `run:` on Linux, but with what would come from its variables and inputs. */
async function run({ env }: Workflow, step: Step, folder: string, values: Record<string, string> = {}): Promise<Run> {
  const given: Record<string, string> = {
    ...{ FUNCTION: 'backup-restore', AWS_REGION: 'us-east-1', AWS_ENDPOINT_URL_LAMBDA: lambda.endpoint },
    ...{ GITHUB_STEP_SUMMARY: join(folder, 'summary.md'), PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter) }, // prettier-ignore
    ...values,
  };
  for (const [name, value] of Object.entries(env)) if (!value.includes('${{')) given[name] = value;
  Object.assign(process.env, given);
  return start('bash', ['--noprofile', '--norc', '-e', '-o', 'pipefail', '-c', step.run!], folder).ended;
}

function stepOf({ jobs }: Workflow, name: string): Step {
  const found = jobs.restore.steps.find((step) => step.name === name);
  assert.ok(found, `a step "${name}"`);
  return found;
}

/** Ships a small shop to the bucket of the stage. */
async function ship(): Promise<string> {
  const database = join(scratch.path, 'live.db');
  const replica = `s3://${BUCKET}/app?endpoint=${stage.server.endpoint}&region=us-east-1`;
  const db = new DatabaseSync(database, { timeout: 5000 });
  db.exec('PRAGMA journal_mode = WAL; CREATE TABLE people (name, mail)');
  const shipper = new Shipper({ database, replica });
  await shipper.start();
  db.exec("INSERT INTO people VALUES ('Ada', 'ada@example.com')");
  const { position } = await shipper.sync();
  db.exec("INSERT INTO people VALUES ('Bob', 'bob@example.com')");
  await shipper.sync();
  await shipper.stop();
  db.close();
  return position;
}

test('both take a role by OIDC, put no expression into a script, and pin what they use', () => {
  for (const name of ['restore-test.yml', 'restore-to-staging.yml']) {
    const { permissions, jobs } = workflow(name);
    assert.equal(permissions['id-token'], 'write');
    for (const { uses, run: script } of jobs.restore.steps) {
      assert.ok((uses === undefined) !== (script === undefined), name);
      if (uses !== undefined) assert.match(uses, /^[\w-]+\/[\w-]+@v\d+$/);
      assert.doesNotMatch(script ?? '', /\$\{\{/, 'an expression in a script is a way in for whoever writes its value');
    }
  }
  assert.ok('schedule' in workflow('restore-test.yml').on);
});

test('the commands of both', { skip: tools ? false : 'no sqlite3 or jq here' }, async (t) => {
  const early = await ship();
  await t.test('restore-test.yml: restored, checked, reported', async () => {
    const nightly = workflow('restore-test.yml');
    const folder = runner('nightly');
    const restored = await run(nightly, stepOf(nightly, 'Restore'), folder);
    assert.equal(restored.code, 0, restored.err);
    const checked = await run(nightly, stepOf(nightly, "SQLite's own check"), folder);
    assert.deepEqual([checked.code, checked.out], [0, 'ok\n'], checked.err);
    assert.equal((await run(nightly, stepOf(nightly, 'Report'), folder)).code, 0);
    const summary = JSON.parse(readFileSync(join(folder, 'summary.md'), 'utf8')) as Record<string, unknown>;
    assert.equal(summary['proof'], 'recorded');
  });
  await t.test('restore-test.yml: what cannot be restored, and what SQLite finds damaged, fails the job', async () => {
    const nightly = workflow('restore-test.yml');
    const folder = runner('failing');
    lambda.trouble({ kind: 'failure', payload: '{"errorType":"Seawall.corrupt.X","errorMessage":"damaged"}' });
    assert.equal((await run(nightly, stepOf(nightly, 'Restore'), folder)).code, 4);
    writeFileSync(join(folder, 'restored.db'), Buffer.alloc(8192, 7));
    assert.notEqual((await run(nightly, stepOf(nightly, "SQLite's own check"), folder)).code, 0);
  });
  await t.test('restore-to-staging.yml: at a moment, without personal data', async () => {
    const staging = workflow('restore-to-staging.yml');
    const folder = runner('staging');
    mkdirSync(join(folder, '.github'));
    writeFileSync(join(folder, '.github', 'staging.sql'), "UPDATE people SET mail = 'nobody@example.com';\n");
    const restored = await run(staging, stepOf(staging, 'Restore'), folder, { AT: early });
    assert.equal(restored.code, 0, restored.err);
    const cleaned = await run(staging, stepOf(staging, 'Take personal data out'), folder);
    assert.equal(cleaned.code, 0, cleaned.err);
    const db = new DatabaseSync(join(folder, 'staging.db'));
    const people = db.prepare('SELECT name, mail FROM people').all();
    db.close();
    assert.deepEqual(JSON.stringify(people), '[{"name":"Ada","mail":"nobody@example.com"}]');
  });
  await t.test('every other command is known to need more than this machine', () => {
    const names = ['restore-test.yml', 'restore-to-staging.yml'].flatMap((name) =>
      workflow(name).jobs.restore.steps.flatMap((step) => (step.run === undefined ? [] : [step.name])),
    );
    const ran = new Set(['Restore', "SQLite's own check", 'Report', 'Take personal data out']);
    assert.deepEqual(names.filter((name) => !ran.has(name!)), ['Install', 'Install', 'Put it in place']); // prettier-ignore
  });
});

test('role.ts: the role is GitHub’s for these subjects alone, and may invoke one function', () => {
  const stack = new BackupStack(new App(), 'Backups', { subjects: ['repo:me/app:ref:refs/heads/main'] });
  const template = Template.fromStack(stack);
  template.hasResourceProperties('AWS::IAM::Role', {
    AssumeRolePolicyDocument: {
      Statement: [
        {
          Action: 'sts:AssumeRoleWithWebIdentity',
          Condition: {
            StringEquals: {
              'token.actions.githubusercontent.com:aud': 'sts.amazonaws.com',
              'token.actions.githubusercontent.com:sub': ['repo:me/app:ref:refs/heads/main'],
            },
          },
        },
      ],
    },
  });
  const policies = Object.entries(template.findResources('AWS::IAM::Policy'));
  const [, policy] = policies.find(([id]) => id.startsWith('RestoreFromGitHub'))!;
  const { PolicyDocument } = (policy as { readonly Properties: { readonly PolicyDocument: unknown } }).Properties;
  const { Statement } = PolicyDocument as { readonly Statement: readonly { readonly Action: string }[] };
  assert.deepEqual(
    Statement.map(({ Action }) => Action),
    ['lambda:InvokeFunction'],
  );
});
