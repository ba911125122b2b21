/** What the template becomes with options: a key, a lock, a copy, a bucket of one's own, mailed alarms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { Key } from 'aws-cdk-lib/aws-kms';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Bucket, EventType, type IBucket, StorageClass } from 'aws-cdk-lib/aws-s3';
import { SqsDestination } from 'aws-cdk-lib/aws-s3-notifications';
import { SqliteBackupStack } from '../../infra/stack.ts';
import { CODE, flat, only, resources, templateOf, testApp } from './synthesis.ts';

test('all options at once: key, lock, cold storage, copy, concurrency, names, no extras', () => {
  const full = templateOf((stack) => ({
    bucketName: 'my-backups',
    encryptionKey: new Key(stack, 'Key'),
    objectLock: { mode: 'compliance', duration: Duration.days(30) },
    serverAccessLogs: { bucket: Bucket.fromBucketName(stack, 'Logs', 'my-logs') },
    noncurrentExpiry: Duration.days(60),
    restoresExpiry: Duration.days(1),
    coldStorage: { after: Duration.days(45), storageClass: StorageClass.GLACIER_INSTANT_RETRIEVAL },
    replication: {
      bucketArn: 'arn:aws:s3:::my-copy',
      keyArn: 'arn:aws:kms:eu-west-1:111122223333:key/copy',
      deletions: false,
    },
    removalPolicy: RemovalPolicy.DESTROY,
    compaction: { reservedConcurrency: 3, timeout: Duration.minutes(5), memorySize: 3008 },
    drill: { interval: Duration.days(6), enabled: true, diskSize: 10_240 },
    logRetention: RetentionDays.ONE_YEAR,
    logRemovalPolicy: RemovalPolicy.RETAIN,
    tracing: false,
    metricsNamespace: 'Backups',
    dashboard: false,
    outputs: false,
  }));
  full.hasResource('AWS::S3::Bucket', {
    DeletionPolicy: 'Delete',
    Properties: Match.objectLike({
      BucketName: 'my-backups',
      ObjectLockEnabled: true,
      ObjectLockConfiguration: { Rule: { DefaultRetention: { Mode: 'COMPLIANCE', Days: 30 } } },
      LoggingConfiguration: { DestinationBucketName: 'my-logs', LogFilePrefix: 'seawall/' },
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [
          { BucketKeyEnabled: true, ServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms' } },
        ],
      },
      LifecycleConfiguration: {
        Rules: Match.arrayWith([
          Match.objectLike({
            Id: 'move-old-snapshots',
            ObjectSizeGreaterThan: 1_048_576,
            Transitions: [{ StorageClass: 'GLACIER_IR', TransitionInDays: 45 }],
          }),
        ]),
      },
      ReplicationConfiguration: {
        Rules: [
          {
            Id: 'copy-everything',
            Status: 'Enabled',
            Priority: 0,
            Filter: { Prefix: '' },
            DeleteMarkerReplication: { Status: 'Disabled' },
            SourceSelectionCriteria: { SseKmsEncryptedObjects: { Status: 'Enabled' } },
            Destination: {
              Bucket: 'arn:aws:s3:::my-copy',
              EncryptionConfiguration: { ReplicaKmsKeyID: 'arn:aws:kms:eu-west-1:111122223333:key/copy' },
            },
          },
        ],
      },
    }),
  });
  full.hasResourceProperties('AWS::SQS::QueuePolicy', {
    PolicyDocument: {
      Statement: Match.arrayWith([
        Match.objectLike({ Condition: Match.objectLike({ ArnLike: { 'aws:SourceArn': 'arn:aws:s3:::my-backups' } }) }),
      ]),
    },
  });
  const { properties: compact } = only(full, 'AWS::Lambda::Function', 'BackupCompaction');
  assert.equal(compact['ReservedConcurrentExecutions'], 3);
  assert.equal(compact['MemorySize'], 3008);
  assert.equal(
    only(full, 'AWS::SQS::Queue', 'BackupCompactionWorkQueue').properties['VisibilityTimeout'],
    6 * 300 + 20,
  );
  assert.deepEqual(only(full, 'AWS::Lambda::Function', 'BackupDrills').properties['EphemeralStorage'], {
    Size: 10_240,
  });
  for (const { Properties, DeletionPolicy } of Object.values(resources(full, 'AWS::Logs::LogGroup'))) {
    assert.equal(Properties['RetentionInDays'], 365);
    assert.equal(DeletionPolicy, 'Retain');
  }
  for (const { Properties } of Object.values(resources(full, 'AWS::Lambda::Function'))) {
    assert.equal(Properties['TracingConfig'], undefined);
  }
  const periods = only(full, 'AWS::CloudWatch::Alarm', 'BackupAlarmsDrillMissing').properties;
  assert.deepEqual([periods['EvaluationPeriods'], periods['Period'], periods['Namespace']], [7, 86_400, 'Backups']);
  full.resourceCountIs('AWS::CloudWatch::Dashboard', 0);
  assert.deepEqual(Object.keys((full.toJSON()['Outputs'] ?? {}) as object), []);

  const copying = only(full, 'AWS::IAM::Policy', 'BackupReplicationRoleDefaultPolicy').properties;
  const actions = (copying['PolicyDocument'] as { Statement: { Action: string | string[] }[] }).Statement.flatMap(
    ({ Action }) => Action,
  );
  assert.ok(!actions.includes('s3:ReplicateDelete'));
  assert.ok(actions.includes('s3:ReplicateObject'));
});

test('a bucket of one’s own is left as it is, and the functions use it', () => {
  const own = templateOf((stack) => ({ bucket: Bucket.fromBucketName(stack, 'Mine', 'mine') }));
  own.resourceCountIs('AWS::S3::Bucket', 0);
  own.resourceCountIs('AWS::S3::BucketPolicy', 0);
  const { properties } = only(own, 'AWS::Lambda::Function', 'BackupRestores');
  const { Variables } = properties['Environment'] as { Variables: Record<string, string> };
  assert.equal(Variables['SEAWALL_BUCKET'], 'mine');

  // As the prop's description says. The assertions refuse templates with a cycle.
  let mine: Bucket | undefined;
  templateOf(
    (stack) => ({ bucket: (mine = new Bucket(stack, 'Mine')) as IBucket }),
    (_, { compactionQueue }) => {
      mine!.addEventNotification(EventType.OBJECT_CREATED, new SqsDestination(compactionQueue), {
        suffix: '_00000000.wal.lz4',
      });
    },
  );
});

test('the stack mails alarms to an address, by a topic for TLS only to which only this account’s alarms publish', () => {
  const stack = new SqliteBackupStack(testApp(), 'seawall', {
    env: { account: '111122223333', region: 'eu-central-1' },
    alarmEmail: 'ops@example.com',
    backup: { code: CODE },
  });
  const mailing = Template.fromStack(stack);
  mailing.hasResourceProperties('AWS::SNS::Subscription', { Protocol: 'email', Endpoint: 'ops@example.com' });
  const topic = Object.keys(resources(mailing, 'AWS::SNS::Topic'))[0]!;
  const { properties } = only(mailing, 'AWS::SNS::TopicPolicy', 'AlarmTopic');
  const { Statement } = properties['PolicyDocument'] as { Statement: Record<string, unknown>[] };
  assert.deepEqual(
    Statement.map(({ Effect, Action, Condition }) => [Effect, Action, Condition]),
    [
      ['Deny', 'sns:Publish', { Bool: { 'aws:SecureTransport': 'false' } }],
      ['Allow', 'sns:Publish', { StringEquals: { 'aws:SourceAccount': '111122223333' } }],
    ],
  );
  for (const [id, { Properties }] of Object.entries(resources(mailing, 'AWS::CloudWatch::Alarm'))) {
    assert.deepEqual(flat(Properties['AlarmActions']), [`<${topic}>`], id);
    assert.deepEqual(flat(Properties['OKActions']), [`<${topic}>`], id);
  }
});
