/** cdk-nag's AwsSolutions pack finds nothing that was not looked at, and nothing was looked at without a reason. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { Queue } from 'aws-cdk-lib/aws-sqs';
import { SqliteBackupStack } from '../../infra/stack.ts';
import { CODE, testApp, testStack } from './synthesis.ts';

interface Violation {
  readonly ruleName: string;
  readonly violatingResources: readonly { readonly constructPath?: string }[];
}

/** What the pack says of an app, as text. */
function findings(app: ReturnType<typeof testApp>): string[] {
  const pack = new AwsSolutionsChecks(app);
  Validations.of(app).addPlugins(pack);
  const said = new Set<string>();
  const validate = pack.validate.bind(pack);
  pack.validate = (context) => {
    const report = validate(context);
    for (const { ruleName, violatingResources } of report.violations as readonly Violation[]) {
      for (const { constructPath } of violatingResources) said.add(`${ruleName} at ${constructPath ?? '?'}`);
    }
    return { ...report, success: true, violations: [] };
  };
  app.synth();
  return [...said].toSorted();
}

test('the stack has no finding, with a root and without', () => {
  for (const root of ['', 'dbs/']) {
    const app = testApp();
    new SqliteBackupStack(app, 'seawall', {
      alarmEmail: 'ops@example.com',
      backup: { root, code: CODE, replication: { bucketArn: 'arn:aws:s3:::my-copy' } },
    });
    assert.deepEqual(findings(app), []);
  }
});

test('the pack does find what is wrong, so that its silence means something', () => {
  const app = testApp();
  const stack = testStack(app);
  new Bucket(stack, 'Careless');
  new Queue(stack, 'Plain');
  const found = findings(app).map((finding) => finding.split(' ')[0]);
  assert.ok(found.includes('AwsSolutions-S1') && found.includes('AwsSolutions-SQS3'), found.join(', '));
});

test('each acknowledgement has a reason, and names one finding', () => {
  const app = testApp();
  const stack = new SqliteBackupStack(app, 'seawall', { backup: { code: CODE } });
  const given = stack.node
    .findAll()
    .flatMap(({ node }) => node.metadata)
    .filter(({ type }) => type === Validations.ACKNOWLEDGED_RULES_METADATA_KEY)
    .flatMap(({ data }) => Object.entries(data as Record<string, string>));
  assert.ok(given.length > 10);
  for (const [id, reason] of given) {
    assert.match(id, /AwsSolutions-(S1$|IAM5\[Resource::.+\]$)/);
    assert.ok(reason.length > 20, id);
  }
});

test('nothing is acknowledged for a whole stack', () => {
  const source = readFileSync(join(import.meta.dirname, '../../infra/stack.ts'), 'utf8');
  assert.ok(!source.includes('acknowledge'));
});
