/**
 * `cdk deploy`, as a user runs it, against moto, a stand-in for AWS that SEAWALL_TEST_AWS leads to; and the template
 * under cfn-lint, which SEAWALL_CFN_LINT names (`.ci/with-aws` installs and serves both). docs/OPERATIONS.md says what
 * such a deploy proves and what it does not.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { GetFunctionCommand, LambdaClient, ListEventSourceMappingsCommand } from '@aws-sdk/client-lambda';
import {
  GetBucketEncryptionCommand,
  type Event,
  PutBucketNotificationConfigurationCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { GetQueueAttributesCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { readNotification } from '../../functions/compact/notification.ts';
import { segmentKey } from '../../replica/terms/layout.ts';
import { GENERATION } from '../functions/stage.ts';

const ROOT = join(import.meta.dirname, '../..');
const STACK = 'seawall';
const REGION = 'us-east-1';

/** What moto 5.2.5 has no CloudFormation for, and passes over in silence. */
const NOT_IN_MOTO = [
  'AWS::CDK::Metadata',
  'AWS::CloudWatch::Alarm',
  'AWS::Lambda::EventInvokeConfig',
  'AWS::S3::BucketPolicy',
  'AWS::SNS::Subscription',
  'AWS::SNS::TopicPolicy',
  'AWS::SQS::QueuePolicy',
  'AWS::Scheduler::Schedule',
];

interface Resource {
  readonly Type: string;
  readonly Properties: Record<string, unknown>;
}

const endpoint = wanted('SEAWALL_TEST_AWS');
const cfnLint = wanted('SEAWALL_CFN_LINT');
const out = mkdtempSync(join(tmpdir(), 'seawall-deployment-'));
const client = { endpoint, region: REGION, credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };
const s3 = new S3Client({ ...client, forcePathStyle: true });
const sqs = new SQSClient(client);
const lambda = new LambdaClient(client);
const template = join(out, `${STACK}.template.json`);
let resources: Record<string, Resource>;
/** Names that the deploy gave, by logical id. */
let deployed: ReadonlyMap<string, { readonly type: string; readonly id: string }>;

before(async () => {
  await cdk('synth', '--quiet', '-c', 'root=dbs/', '-c', 'alarmEmail=ops@example.com', '--output', out);
  resources = (JSON.parse(readFileSync(template, 'utf8')) as { Resources: Record<string, Resource> }).Resources;
});
after(() => {
  for (const each of [s3, sqs, lambda]) each.destroy();
  rmSync(out, { recursive: true });
});

function wanted(name: string): string {
  const value = process.env[name];
  if (value !== undefined && value !== '') return value;
  throw new Error(`${name} is not set; run this as: .ci/with-aws npm run test:deployment`);
}

async function cdk(...arguments_: readonly string[]): Promise<void> {
  await promisify(execFile)('npx', ['--no', 'cdk', ...arguments_], {
    cwd: ROOT,
    env: {
      PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
      HOME: out,
      AWS_ENDPOINT_URL: endpoint,
      // CloudFormation fetches the template; moto takes a bucket to be in the path for this host alone.
      AWS_ENDPOINT_URL_S3_FOR_CLOUDFORMATION: endpoint.replace('127.0.0.1', 'localhost'),
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_EC2_METADATA_DISABLED: 'true',
      CDK_DISABLE_CLI_TELEMETRY: 'true',
    },
  });
}

/** The one resource of a type whose logical id begins with `id`: its name in the account. */
function named(type: string, id: string): string {
  const found = [...deployed].filter(([logicalId, each]) => each.type === type && logicalId.startsWith(id));
  assert.equal(found.length, 1, `${type} ${id}: ${found.map(([logicalId]) => logicalId).join(', ')}`);
  return found[0]![1].id;
}

function typesOf(from: Iterable<{ readonly type: string }>): string[] {
  return [...new Set([...from].map(({ type }) => type))].toSorted();
}

test('cfn-lint has nothing to say', async () => {
  // W3005: a dependency that CDK spells out although a reference implies it.
  const { stdout } = await promisify(execFile)(cfnLint, ['--ignore-checks', 'W3005', '--', template]);
  assert.equal(stdout, '');
});

test('cdk deploy makes all that moto knows', async () => {
  // The dashboard shows the alarms by their ARNs, which moto does not have.
  const whole = JSON.parse(readFileSync(template, 'utf8')) as { Resources: Record<string, Resource> };
  const Resources = Object.fromEntries(
    Object.entries(whole.Resources).filter(([, { Type }]) => Type !== 'AWS::CloudWatch::Dashboard'),
  );
  writeFileSync(template, JSON.stringify({ ...whole, Resources }));
  await fetch(`${endpoint}/moto-api/reset`, { method: 'POST' });
  await cdk('bootstrap', '--app', out);
  await cdk('deploy', '--app', out, '--require-approval', 'never');

  const answer = await fetch(endpoint, {
    method: 'POST',
    headers: { authorization: `AWS4-HMAC-SHA256 Credential=test/20260101/${REGION}/cloudformation/aws4_request` },
    body: new URLSearchParams({ Action: 'DescribeStackResources', StackName: STACK, Version: '2010-05-15' }),
  });
  const xml = await answer.text();
  const members = [...xml.matchAll(/<member>(.*?)<\/member>/gs)].flatMap(([, member = '']) => {
    const field = (name: string): string => new RegExp(`<${name}>([^<]+)</${name}>`).exec(member)?.[1] ?? '';
    const [logicalId, id, type] = [field('LogicalResourceId'), field('PhysicalResourceId'), field('ResourceType')];
    return logicalId === '' ? [] : [[logicalId, { type, id }] as const];
  });
  deployed = new Map(members);
  const made = new Set(typesOf(deployed.values()));
  const missing = Object.values(Resources).map(({ Type }) => ({ type: Type })).filter(({ type }) => !made.has(type)); // prettier-ignore
  assert.deepEqual(typesOf(missing), NOT_IN_MOTO);
  for (const [logicalId, { Type }] of Object.entries(Resources)) {
    if (!NOT_IN_MOTO.includes(Type)) assert.ok(deployed.has(logicalId), logicalId);
  }
});

test('the bucket is encrypted', async () => {
  const Bucket = named('AWS::S3::Bucket', 'Backup');
  const { ServerSideEncryptionConfiguration } = await s3.send(new GetBucketEncryptionCommand({ Bucket }));
  const [encryption] = ServerSideEncryptionConfiguration!.Rules!;
  assert.equal(encryption!.ApplyServerSideEncryptionByDefault!.SSEAlgorithm, 'AES256');
});

interface QueueConfiguration {
  readonly Event: Event;
  readonly Filter: {
    readonly S3Key: { readonly Rules: readonly { readonly Name: 'prefix' | 'suffix'; Value: string }[] };
  };
}

// moto's CloudFormation passes notifications over, its S3 does not: they are set there as the template has them.
test('notifications: a completed index reaches the queue of compaction, and nothing else does', async () => {
  const Bucket = named('AWS::S3::Bucket', 'Backup');
  const QueueUrl = named('AWS::SQS::Queue', 'BackupCompactionWorkQueue');
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }));
  const bucket = Object.values(resources).find(({ Type }) => Type === 'AWS::S3::Bucket')!;
  const { QueueConfigurations } = bucket.Properties['NotificationConfiguration'] as {
    readonly QueueConfigurations: readonly QueueConfiguration[];
  };
  assert.equal(QueueConfigurations.length, 2);
  const NotificationConfiguration = {
    QueueConfigurations: QueueConfigurations.map(({ Event, Filter }) => ({
      QueueArn: Attributes!.QueueArn!,
      Events: [Event],
      Filter: { Key: { FilterRules: [...Filter.S3Key.Rules] } },
    })),
  };
  await s3.send(new PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration }));
  const complete = `dbs/app/${segmentKey(GENERATION, 3, 0, 'lz4')}`;
  const others = [
    `dbs/app/${segmentKey(GENERATION, 3, 4152, 'lz4')}`,
    `elsewhere/${segmentKey(GENERATION, 3, 0, 'lz4')}`,
    'dbs/app/seawall/head',
  ];
  for (const Key of [...others, complete]) await s3.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }));
  const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
  const notified = Messages.map(({ Body }) => readNotification(Body!, Bucket, 'dbs/'));
  assert.deepEqual(
    notified.flatMap((each) => each!.databases),
    ['app'],
  );
  assert.deepEqual(
    notified.flatMap((each) => each!.ignored),
    [],
  );
});

for (const work of ['Compaction', 'Sweep', 'Drills']) {
  test(`${work}: a queue with its dead-letter queue feeds its function, which answers for single messages`, async () => {
    const attributes = async (id: string): Promise<Record<string, string>> => {
      const QueueUrl = named('AWS::SQS::Queue', id);
      const command = new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] });
      return (await sqs.send(command)).Attributes!;
    };
    const [queue, dead] = [
      await attributes(`Backup${work}WorkQueue`),
      await attributes(`Backup${work}WorkDeadLetters`),
    ];
    const redrive = JSON.parse(queue['RedrivePolicy']!) as { deadLetterTargetArn: string; maxReceiveCount: number };
    assert.equal(redrive.deadLetterTargetArn, dead['QueueArn']);
    assert.ok(Number(queue['VisibilityTimeout']) >= 6 * 900, 'six times the timeout of the function');
    assert.equal(Number(dead['MessageRetentionPeriod']), 14 * 86_400);
    const { EventSourceMappings } = await lambda.send(
      new ListEventSourceMappingsCommand({ EventSourceArn: queue['QueueArn']! }),
    );
    const [mapping, ...more] = EventSourceMappings!;
    assert.equal(more.length, 0);
    assert.match(mapping!.FunctionArn!, new RegExp(`Backup${work}`));
    assert.deepEqual(mapping!.FunctionResponseTypes, ['ReportBatchItemFailures']);
  });
}

for (const [name, id, queues] of [
  ['compact', 'BackupCompactionCompact', {}],
  ['retain', 'BackupSweepRetain', { SEAWALL_QUEUE_URL: 'BackupSweepWorkQueue' }],
  ['restore', 'BackupRestoresRestore', {}],
  ['drill', 'BackupDrillsDrill', { SEAWALL_DRILL_QUEUE_URL: 'BackupDrillsWorkQueue' }],
] as const) {
  test(`${name}: its code, its role and its settings, references resolved`, async () => {
    const FunctionName = named('AWS::Lambda::Function', `${id}Function`);
    const { Configuration } = await lambda.send(new GetFunctionCommand({ FunctionName }));
    const { Runtime, Handler, Role, Environment, CodeSize, MemorySize, Timeout } = Configuration!;
    assert.deepEqual([Runtime, Handler], ['nodejs24.x', 'index.handler']);
    assert.deepEqual([MemorySize, Timeout], [1769, 900]);
    assert.ok(CodeSize! > 100_000, `${String(CodeSize)} bytes of code`);
    assert.ok(Role!.endsWith(`/${named('AWS::IAM::Role', `${id}Role`)}`), Role);
    const settings = Environment!.Variables!;
    assert.equal(settings['SEAWALL_BUCKET'], named('AWS::S3::Bucket', 'Backup'));
    assert.equal(settings['SEAWALL_ROOT'], 'dbs/');
    for (const [setting, queue] of Object.entries(queues)) {
      assert.equal(settings[setting], named('AWS::SQS::Queue', queue));
    }
  });
}

test('what moto lacks is in the template all the same', () => {
  const types = Object.values(resources).map(({ Type }) => ({ type: Type }));
  for (const type of [...NOT_IN_MOTO, 'AWS::CloudWatch::Dashboard']) assert.ok(typesOf(types).includes(type), type);
});
