/** What CloudFormation is told to make. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Match } from 'aws-cdk-lib/assertions';
import { flat, only, resources, templateOf } from './synthesis.ts';

const template = templateOf({ root: 'dbs/' });

test('the bucket is private, encrypted, versioned, for TLS 1.2, and stays when the stack goes', () => {
  template.hasResource('AWS::S3::Bucket', {
    DeletionPolicy: 'Retain',
    UpdateReplacePolicy: 'Retain',
    Properties: {
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
      },
      OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
      VersioningConfiguration: { Status: 'Enabled' },
    },
  });
  const deny = { Effect: 'Deny', Principal: { AWS: '*' }, Action: 's3:*' };
  template.hasResourceProperties('AWS::S3::BucketPolicy', {
    PolicyDocument: {
      Statement: Match.arrayWith([
        Match.objectLike({ ...deny, Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
        Match.objectLike({ ...deny, Condition: { NumericLessThan: { 's3:TlsVersion': 1.2 } } }),
      ]),
    },
  });
});

test('lifecycle: unfinished uploads, old versions, bare delete markers and restored files go by themselves', () => {
  template.hasResourceProperties('AWS::S3::Bucket', {
    LifecycleConfiguration: {
      Rules: [
        {
          Id: 'abort-unfinished-uploads',
          Status: 'Enabled',
          AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 },
        },
        {
          Id: 'expire-noncurrent-versions',
          Status: 'Enabled',
          NoncurrentVersionExpiration: { NoncurrentDays: 14 },
          ExpiredObjectDeleteMarker: true,
        },
        {
          Id: 'expire-restores',
          Status: 'Enabled',
          Prefix: 'restores/',
          ExpirationInDays: 7,
          AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
        },
      ],
    },
  });
});

test('S3 tells the queue of each completed index, in either codec, below the root; after the queue lets it', () => {
  const { logicalId: policy, properties } = only(template, 'AWS::SQS::QueuePolicy', 'BackupCompactionWorkQueuePolicy');
  const { logicalId: queue } = only(template, 'AWS::SQS::Queue', 'BackupCompactionWorkQueue');
  template.hasResource('AWS::S3::Bucket', {
    DependsOn: [policy],
    Properties: {
      NotificationConfiguration: {
        QueueConfigurations: ['_00000000.wal.lz4', '_00000000.wal.zst'].map((Value) => ({
          Event: 's3:ObjectCreated:*',
          Queue: { 'Fn::GetAtt': [queue, 'Arn'] },
          Filter: {
            S3Key: {
              Rules: [
                { Name: 'prefix', Value: 'dbs/' },
                { Name: 'suffix', Value },
              ],
            },
          },
        })),
      },
    },
  });
  const { Statement } = properties['PolicyDocument'] as { readonly Statement: readonly unknown[] };
  assert.deepEqual(Statement, [
    {
      Effect: 'Deny',
      Principal: { AWS: '*' },
      Action: 'sqs:*',
      Resource: `<${queue}.Arn>`,
      Condition: { Bool: { 'aws:SecureTransport': 'false' } },
    },
    {
      Sid: 'EventsOfTheBucket',
      Effect: 'Allow',
      Principal: { Service: 's3.amazonaws.com' },
      Action: 'sqs:SendMessage',
      Resource: `<${queue}.Arn>`,
      Condition: {
        StringEquals: { 'aws:SourceAccount': '111122223333' },
        ArnLike: { 'aws:SourceArn': 'arn:aws:s3:::*' },
      },
    },
  ]);
});

test('no custom resource, and no function but the four', () => {
  const types = new Set(
    Object.values(template.toJSON()['Resources'] as Record<string, { Type: string }>).map(({ Type }) => Type),
  );
  assert.deepEqual(
    [...types].filter((type) => /custom/i.test(type)),
    [],
  );
  template.resourceCountIs('AWS::Lambda::Function', 4);
});

test('functions: Node.js 24 on arm64, traced, each with its role, its log group and what it must know', () => {
  const expected = {
    BackupCompactionCompactFunction: { SEAWALL_POLICY_RATIO: '0.5', SEAWALL_POLICY_MAX_AGE: '86400000' },
    BackupSweepRetainFunction: {
      SEAWALL_RETENTION: '{"window":604800000,"daily":14,"weekly":8,"monthly":12,"grace":3600000}',
      SEAWALL_QUEUE_URL: `<${only(template, 'AWS::SQS::Queue', 'BackupSweepWorkQueue').logicalId}>`,
      SEAWALL_POLICY_RATIO: '0.5',
      SEAWALL_POLICY_MAX_AGE: '86400000',
    },
    BackupRestoresRestoreFunction: { SEAWALL_RESTORES_PREFIX: 'restores/' },
    BackupDrillsDrillFunction: {
      SEAWALL_DRILL_QUEUE_URL: `<${only(template, 'AWS::SQS::Queue', 'BackupDrillsWorkQueue').logicalId}>`,
    },
  };
  const bucket = only(template, 'AWS::S3::Bucket', 'BackupBucket').logicalId;
  const roles = new Set<unknown>();
  const logs = new Set<unknown>();
  for (const [id, environment] of Object.entries(expected)) {
    const { properties } = only(template, 'AWS::Lambda::Function', id);
    assert.equal(properties['Runtime'], 'nodejs24.x');
    assert.deepEqual(properties['Architectures'], ['arm64']);
    assert.equal(properties['Handler'], 'index.handler');
    assert.equal(properties['Timeout'], 900);
    assert.equal(properties['MemorySize'], 1769);
    assert.deepEqual(properties['TracingConfig'], { Mode: 'Active' });
    assert.equal(properties['ReservedConcurrentExecutions'], undefined);
    assert.deepEqual(properties['Environment'], {
      Variables: {
        SEAWALL_BUCKET: `<${bucket}>`,
        SEAWALL_ROOT: 'dbs/',
        SEAWALL_METRICS_NAMESPACE: 'Seawall',
        SEAWALL_METRICS_PER_DATABASE: 'true',
        SEAWALL_LOG_LEVEL: 'INFO',
        ...environment,
      },
    });
    roles.add(properties['Role']);
    logs.add((properties['LoggingConfig'] as Record<string, unknown>)['LogGroup']);
  }
  assert.equal(roles.size, 4);
  assert.equal(logs.size, 4);
});

test('logs are kept for three months, and go with the stack', () => {
  const groups = Object.values(resources(template, 'AWS::Logs::LogGroup'));
  assert.equal(groups.length, 4);
  for (const { Properties, DeletionPolicy } of groups) {
    assert.equal(Properties['RetentionInDays'], 90);
    assert.equal(DeletionPolicy, 'Delete');
  }
});

test('queues: encrypted, TLS only, six timeouts of patience, then a dead-letter queue that keeps for two weeks', () => {
  const expected = {
    BackupCompactionWork: { visibility: 6 * 900 + 20, retention: undefined },
    BackupSweepWork: { visibility: 6 * 900, retention: 86_400 },
    BackupDrillsWork: { visibility: 6 * 900, retention: 86_400 },
  };
  for (const [id, { visibility, retention }] of Object.entries(expected)) {
    const { properties } = only(template, 'AWS::SQS::Queue', `${id}Queue`);
    const { logicalId: deadId, properties: dead } = only(template, 'AWS::SQS::Queue', `${id}DeadLetters`);
    assert.deepEqual([properties['SqsManagedSseEnabled'], dead['SqsManagedSseEnabled']], [true, true]);
    assert.equal(properties['VisibilityTimeout'], visibility);
    assert.equal(properties['MessageRetentionPeriod'], retention ?? 345_600);
    assert.equal(dead['MessageRetentionPeriod'], 1_209_600);
    assert.deepEqual(properties['RedrivePolicy'], { deadLetterTargetArn: `<${deadId}.Arn>`, maxReceiveCount: 5 });
  }
  assert.equal(Object.keys(resources(template, 'AWS::SQS::QueuePolicy')).length, 6);
});

test('each queue calls its function, with failures named message by message', () => {
  const sources = Object.values(resources(template, 'AWS::Lambda::EventSourceMapping')).map(
    ({ Properties }) => flat(Properties) as Record<string, unknown>,
  );
  assert.equal(sources.length, 3);
  const facts = sources.map((source) => [
    /^<(\w+?)[0-9A-F]{8}\.Arn>$/.exec(String(source['EventSourceArn']))?.[1],
    source['BatchSize'],
    source['MaximumBatchingWindowInSeconds'],
    (source['ScalingConfig'] as Record<string, unknown>)['MaximumConcurrency'],
  ]);
  assert.deepEqual(facts, [
    ['BackupCompactionWorkQueue', 10, 20, 10],
    ['BackupSweepWorkQueue', 1, undefined, 10],
    ['BackupDrillsWorkQueue', 1, undefined, 2],
  ]);
  for (const source of sources) assert.deepEqual(source['FunctionResponseTypes'], ['ReportBatchItemFailures']);
});

test('schedules: a sweep each hour, a drill each day, retried and then set aside, by roles that can do only that', () => {
  const expected = [
    [
      'BackupSweepTimer',
      'rate(1 hour)',
      '{"seawall":"sweep"}',
      'BackupSweepRetainFunction',
      'BackupSweepWorkDeadLetters',
      3600,
    ],
    [
      'BackupDrillsTimer',
      'rate(1 day)',
      '{"seawall":"drill"}',
      'BackupDrillsDrillFunction',
      'BackupDrillsWorkDeadLetters',
      86_400,
    ],
  ] as const;
  for (const [id, rate, input, functionId, deadId, age] of expected) {
    const called = only(template, 'AWS::Lambda::Function', functionId).logicalId;
    const dead = only(template, 'AWS::SQS::Queue', deadId).logicalId;
    const role = only(template, 'AWS::IAM::Role', `${id}Role`);
    const { properties } = only(template, 'AWS::Scheduler::Schedule', id);
    assert.equal(properties['ScheduleExpression'], rate);
    assert.equal(properties['State'], 'ENABLED');
    assert.deepEqual(properties['Target'], {
      Arn: `<${called}.Arn>`,
      DeadLetterConfig: { Arn: `<${dead}.Arn>` },
      Input: input,
      RetryPolicy: { MaximumEventAgeInSeconds: age, MaximumRetryAttempts: 5 },
      RoleArn: `<${role.logicalId}.Arn>`,
    });
    assert.deepEqual((role.properties['AssumeRolePolicyDocument'] as Record<string, unknown[]>)['Statement'], [
      {
        Effect: 'Allow',
        Action: 'sts:AssumeRole',
        Principal: { Service: 'scheduler.amazonaws.com' },
        Condition: {
          StringEquals: {
            'aws:SourceAccount': '111122223333',
            'aws:SourceArn': 'arn:aws:scheduler:eu-central-1:111122223333:schedule-group/default',
          },
        },
      },
    ]);
    const { properties: policy } = only(template, 'AWS::IAM::Policy', `${id}RoleDefaultPolicy`);
    assert.deepEqual((policy['PolicyDocument'] as Record<string, unknown[]>)['Statement'], [
      { Effect: 'Allow', Action: 'lambda:InvokeFunction', Resource: `<${called}.Arn>` },
      { Effect: 'Allow', Action: 'sqs:SendMessage', Resource: `<${dead}.Arn>` },
    ]);
    template.hasResourceProperties('AWS::Lambda::EventInvokeConfig', {
      FunctionName: { Ref: called },
      MaximumRetryAttempts: 2,
      DestinationConfig: { OnFailure: { Destination: { 'Fn::GetAtt': [dead, 'Arn'] } } },
    });
  }
});

test('alarms: each dead-letter queue, each function, age, drills, refusals; silence about age and drills counts as bad', () => {
  const alarms = Object.entries(resources(template, 'AWS::CloudWatch::Alarm')).map(([id, { Properties }]) => {
    const alarm = Properties as Record<string, string | number | undefined>;
    const name = id.replace(/^BackupAlarms/, '').replace(/[0-9A-F]{8}$/, '');
    assert.match(String(alarm['AlarmDescription']), /[.?] See docs\/OPERATIONS\.md of seawall\.$/, id);
    assert.match(String(alarm['AlarmDescription']), /^[\x20-\x7e]+$/, `${id}: CloudFormation mangles other signs`);
    const how = alarm['ComparisonOperator'] === 'LessThanThreshold' ? '<' : '>=';
    const what = `${alarm['Namespace']} ${alarm['MetricName']} ${alarm['Statistic']} ${how} ${alarm['Threshold']}`;
    return `${name}: ${what}, ${alarm['EvaluationPeriods']} x ${alarm['Period']} s, missing ${alarm['TreatMissingData']}`;
  });
  const dead = 'AWS/SQS ApproximateNumberOfMessagesVisible Maximum >= 1, 1 x 300 s, missing notBreaching';
  const errors = 'AWS/Lambda Errors Sum >= 1, 1 x 300 s, missing notBreaching';
  const throttles = 'AWS/Lambda Throttles Sum >= 1, 3 x 300 s, missing notBreaching';
  assert.deepEqual(alarms.toSorted(), [
    'BackupAge: Seawall BackupAge Maximum >= 900, 1 x 3600 s, missing breaching',
    `CompactErrors: ${errors}`,
    `CompactThrottles: ${throttles}`,
    `CompactionDeadLetters: ${dead}`,
    `DrillDeadLetters: ${dead}`,
    `DrillErrors: ${errors}`,
    'DrillFailed: Seawall DrillFailed Sum >= 1, 1 x 3600 s, missing notBreaching',
    'DrillMissing: Seawall DrillPassed Sum < 1, 2 x 86400 s, missing breaching',
    `DrillThrottles: ${throttles}`,
    `RestoreErrors: ${errors}`,
    `RestoreThrottles: ${throttles}`,
    `RetainErrors: ${errors}`,
    `RetainThrottles: ${throttles}`,
    'RetentionRefused: Seawall RetentionRefused Sum >= 1, 1 x 3600 s, missing notBreaching',
    `SweepDeadLetters: ${dead}`,
  ]);
  for (const { Properties } of Object.values(resources(template, 'AWS::CloudWatch::Alarm'))) {
    if (Properties['Namespace'] === 'Seawall') assert.equal(Properties['Dimensions'], undefined);
  }
});

test('outputs: the bucket, how to ship, how to restore', () => {
  const outputs = flat(template.toJSON()['Outputs']) as Record<string, { readonly Value: string }>;
  const values = Object.fromEntries(
    Object.entries(outputs).map(([id, { Value }]) => [id.replace(/^Backup/, '').replace(/[0-9A-F]{8}$/, ''), Value]),
  );
  const bucket = only(template, 'AWS::S3::Bucket', 'BackupBucket').logicalId;
  const restore = only(template, 'AWS::Lambda::Function', 'BackupRestores').logicalId;
  const replica = `s3://<${bucket}>/dbs/app?region=eu-central-1`;
  assert.deepEqual(values, {
    BucketName: `<${bucket}>`,
    ShipperConfiguration: `new Shipper({ database: 'data/app.db', replica: '${replica}', restore: 'if-missing' })`,
    ShipCommand: `npx seawall ship data/app.db '${replica}'`,
    RestoreFunctionName: `<${restore}>`,
    RestoreByFunctionCommand: `npx seawall restore --lambda <${restore}> --region eu-central-1 --database app -o app.db`,
    RestoreCommand: `npx seawall restore '${replica}' -o app.db`,
  });
});
