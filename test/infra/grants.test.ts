/** What a shipper, a restorer and each function may do: by evaluating the policies in the template. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Template } from 'aws-cdk-lib/assertions';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Key } from 'aws-cdk-lib/aws-kms';
import { isAllowed, list, s3Requests, type Statement, statementsOf } from './policy.ts';
import { resources, templateOf } from './synthesis.ts';

const GENERATION = '0123456789abcdef';
const SEGMENT = `generations/${GENERATION}/wal/00000003_00001038.wal.lz4`;
const SNAPSHOT = `generations/${GENERATION}/snapshots/00000003.snapshot.lz4`;
const EVERY = { ifNoneMatch: '*' };

const template = templateOf({ root: 'dbs/' }, (stack, backup) => {
  const role = (id: string): Role =>
    new Role(stack, id, { assumedBy: new ServicePrincipal('ecs-tasks.amazonaws.com') });
  backup.grantShip(role('OneShipper'), 'eu/orders');
  backup.grantShip(role('AnyShipper'));
  backup.grantRestore(role('OneReader'), 'eu/orders');
  backup.grantInvokeRestore(role('Caller'));
});
const bucketId = Object.keys(resources(template, 'AWS::S3::Bucket'))[0]!;
const bucket = `<${bucketId}.Arn>`;
const s3 = s3Requests(bucket);

test('a shipper cannot replace a snapshot or WAL: what makes an object visible must say If-None-Match', () => {
  for (const [name, database] of [
    ['OneShipper', 'dbs/eu/orders/'],
    ['AnyShipper', 'dbs/eu/orders/'],
    ['AnyShipper', 'dbs/'],
  ] as const) {
    const policy = statementsOf(template, name);
    for (const key of [database + SEGMENT, database + SNAPSHOT]) {
      assert.ok(isAllowed(policy, s3.put(key, EVERY)), key);
      assert.ok(isAllowed(policy, s3.completeUpload(key, EVERY)), key);
      assert.ok(isAllowed(policy, s3.uploadPart(key)), key);
      assert.ok(!isAllowed(policy, s3.put(key)), `${key}: plain put`);
      assert.ok(!isAllowed(policy, s3.completeUpload(key)), `${key}: plain completion`);
      assert.ok(!isAllowed(policy, s3.put(key, { ifMatch: '"etag"' })), `${key}: replacement`);
    }
  }
});

test('a shipper cannot delete, in any way, nor change how the bucket keeps things', () => {
  for (const name of ['OneShipper', 'AnyShipper']) {
    const policy = statementsOf(template, name);
    for (const key of [SEGMENT, SNAPSHOT, 'seawall/claim', 'seawall/head']) {
      for (const action of [
        's3:DeleteObject',
        's3:DeleteObjectVersion',
        's3:PutObjectRetention',
        's3:PutObjectLegalHold',
        's3:BypassGovernanceRetention',
        's3:PutObjectAcl',
        's3:PutObjectTagging',
        's3:RestoreObject',
        's3:ReplicateDelete',
        's3:ReplicateObject',
      ]) {
        assert.ok(!isAllowed(policy, s3.object(action, `dbs/eu/orders/${key}`)), `${name} ${action} ${key}`);
      }
    }
    for (const action of [
      's3:PutLifecycleConfiguration',
      's3:PutBucketVersioning',
      's3:DeleteBucket',
      's3:PutBucketPolicy',
    ]) {
      assert.ok(!isAllowed(policy, { action, resource: bucket }), `${name} ${action}`);
    }
    const actions = new Set(policy.flatMap(({ Action }) => list(Action)));
    assert.deepEqual(
      [...actions].toSorted(),
      ['s3:AbortMultipartUpload', 's3:GetObject', 's3:ListBucket', 's3:PutObject'],
      name,
    );
  }
});

test('claim and head, by their exact keys, are all a shipper can replace; the claim only by who says what it replaces', () => {
  const policy = statementsOf(template, 'OneShipper');
  assert.ok(isAllowed(policy, s3.put('dbs/eu/orders/seawall/head')));
  assert.ok(isAllowed(policy, s3.put('dbs/eu/orders/seawall/claim', EVERY)));
  assert.ok(isAllowed(policy, s3.put('dbs/eu/orders/seawall/claim', { ifMatch: '"etag"' })));
  assert.ok(!isAllowed(policy, s3.put('dbs/eu/orders/seawall/claim')));
  for (const key of [
    'seawall/floors',
    'seawall/heads',
    'seawall/head/x',
    'seawall/reports/r',
    'seawall/drills/d',
    'x',
  ]) {
    assert.ok(!isAllowed(policy, s3.put(`dbs/eu/orders/${key}`, EVERY)), key);
    assert.ok(!isAllowed(policy, s3.put(`dbs/eu/orders/${key}`)), key);
  }
  const replaceable = policy.filter(
    ({ Action, Condition }) => list(Action).includes('s3:PutObject') && Condition === undefined,
  );
  assert.deepEqual(
    replaceable.flatMap(({ Resource }) => list(Resource)),
    [`${bucket}/dbs/eu/orders/seawall/head`],
  );
});

test('a shipper of one database reaches no other, and lists no other by its prefix', () => {
  const policy = statementsOf(template, 'OneShipper');
  for (const other of ['dbs/eu/orders2/', 'dbs/eu/', 'dbs/us/orders/', 'eu/orders/', 'dbs/']) {
    assert.ok(!isAllowed(policy, s3.put(other + SEGMENT, EVERY)), other);
    assert.ok(!isAllowed(policy, s3.object('s3:GetObject', other + SEGMENT)), other);
    assert.ok(!isAllowed(policy, s3.put(`${other}seawall/head`)), other);
  }
  assert.ok(!isAllowed(policy, s3.put('restores/app.db')));
  assert.ok(!isAllowed(policy, s3.object('s3:GetObject', 'restores/app.db')));
  assert.ok(isAllowed(policy, s3.listing('dbs/eu/orders/generations/')));
  // S3 asks this when a GET finds nothing: without it, 403 in place of 404. It may ask with the key or without a prefix.
  assert.ok(isAllowed(policy, s3.listing('dbs/eu/orders/seawall/claim')));
  assert.ok(isAllowed(policy, s3.listing(undefined)));
  for (const prefix of ['dbs/eu/', 'dbs/eu/orders', 'dbs/eu/orders2/', '']) {
    assert.ok(!isAllowed(policy, s3.listing(prefix)), prefix);
  }
});

test('a restorer reads one database and changes nothing', () => {
  const policy = statementsOf(template, 'OneReader');
  assert.ok(isAllowed(policy, s3.object('s3:GetObject', `dbs/eu/orders/${SNAPSHOT}`)));
  assert.ok(isAllowed(policy, s3.object('s3:GetObject', 'dbs/eu/orders/seawall/claim')));
  assert.ok(!isAllowed(policy, s3.object('s3:GetObject', `dbs/us/${SNAPSHOT}`)));
  assert.deepEqual([...new Set(policy.flatMap(({ Action }) => list(Action)))].toSorted(), [
    's3:GetObject',
    's3:ListBucket',
  ]);
});

test('who may call the restore function may call that function and nothing else', () => {
  const policy = statementsOf(template, 'Caller');
  assert.equal(policy.length, 1);
  assert.deepEqual(list(policy[0]!.Action), ['lambda:InvokeFunction']);
  assert.match(String(policy[0]!.Resource), /^<BackupRestores\w+\.Arn>$/);
});

/** Each function: what it may do to objects, action by action, below `dbs/`. */
const OBJECTS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  BackupCompactionCompactRole: {
    's3:GetObject': ['generations/*', 'seawall/*'],
    's3:PutObject': ['generations/*/snapshots/*'],
    's3:AbortMultipartUpload': ['generations/*/snapshots/*'],
  },
  BackupSweepRetainRole: {
    's3:GetObject': ['generations/*', 'seawall/*'],
    's3:PutObject': ['generations/*/snapshots/*', 'seawall/floors', 'seawall/reports/*'],
    's3:AbortMultipartUpload': ['generations/*', 'generations/*/snapshots/*'],
    's3:DeleteObject': ['generations/*', 'seawall/reports/*'],
  },
  BackupRestoresRestoreRole: {
    's3:GetObject': ['generations/*', 'restores/*', 'seawall/*'],
    's3:PutObject': ['restores/*'],
    's3:AbortMultipartUpload': ['restores/*'],
  },
  BackupDrillsDrillRole: {
    's3:GetObject': ['generations/*', 'seawall/*'],
    's3:PutObject': ['seawall/drills/*'],
    's3:DeleteObject': ['seawall/drills/*'],
  },
};

for (const [role, expected] of Object.entries(OBJECTS)) {
  test(`${role}: exactly these actions on exactly these objects, and no wildcard action`, () => {
    const policy = statementsOf(template, role);
    assert.deepEqual(objectActions(policy), expected);
    const actions = policy.flatMap(({ Action }) => list(Action));
    assert.deepEqual(
      actions.filter((action) => action.includes('*')),
      [],
    );
    const starred = policy.filter(({ Resource }) => list(Resource).includes('*'));
    assert.deepEqual(starred.flatMap(({ Action }) => list(Action)).toSorted(), [
      'xray:PutTelemetryRecords',
      'xray:PutTraceSegments',
    ]);
  });
}

/** By action, the keys below the database or the bucket. */
function objectActions(policy: readonly Statement[]): Record<string, string[]> {
  const found: Record<string, Set<string>> = {};
  for (const { Action, Resource } of policy) {
    const keys = list(Resource).flatMap((resource) => {
      if (!resource.startsWith(`${bucket}/`)) return [];
      return [resource.slice(bucket.length + 1).replace(/^dbs\/(\*\/)?/, '')];
    });
    if (keys.length === 0) continue;
    for (const action of list(Action)) for (const key of keys) (found[action] ??= new Set()).add(key);
  }
  return Object.fromEntries(Object.entries(found).map(([action, keys]) => [action, [...keys].toSorted()]));
}

test('compaction and the sweep cannot replace a snapshot, and write no WAL', () => {
  for (const role of ['BackupCompactionCompactRole', 'BackupSweepRetainRole']) {
    const policy = statementsOf(template, role);
    assert.ok(isAllowed(policy, s3.completeUpload(`dbs/app/${SNAPSHOT}`, EVERY)), role);
    assert.ok(isAllowed(policy, s3.uploadPart(`dbs/app/${SNAPSHOT}`)), role);
    assert.ok(!isAllowed(policy, s3.put(`dbs/app/${SNAPSHOT}`)), role);
    assert.ok(!isAllowed(policy, s3.completeUpload(`dbs/app/${SNAPSHOT}`)), role);
    assert.ok(!isAllowed(policy, s3.put(`dbs/app/${SEGMENT}`, EVERY)), role);
    assert.ok(!isAllowed(policy, s3.put('dbs/app/seawall/claim', EVERY)), role);
  }
});

test('only the sweep deletes backups, and it deletes no version, claim or head', () => {
  for (const role of Object.keys(OBJECTS)) {
    const policy = statementsOf(template, role);
    const may = (action: string, key: string): boolean => isAllowed(policy, s3.object(action, `dbs/app/${key}`));
    assert.equal(may('s3:DeleteObject', SEGMENT), role === 'BackupSweepRetainRole', role);
    assert.ok(!may('s3:DeleteObjectVersion', SEGMENT), role);
    assert.ok(!may('s3:DeleteObject', 'seawall/claim') && !may('s3:DeleteObject', 'seawall/head'), role);
  }
});

test('no role has a managed policy', () => {
  for (const [id, { Properties }] of Object.entries(resources(template, 'AWS::IAM::Role'))) {
    assert.equal(Properties['ManagedPolicyArns'], undefined, id);
  }
});

test('with a key, grants include it: to write for shippers and functions, to read for restorers', () => {
  const withKey = templateOf(
    (stack) => ({ encryptionKey: new Key(stack, 'Key') }),
    (stack, backup) => {
      const role = (id: string): Role =>
        new Role(stack, id, { assumedBy: new ServicePrincipal('ecs-tasks.amazonaws.com') });
      backup.grantShip(role('Shipper'), 'app');
      backup.grantRestore(role('Reader'));
    },
  );
  const onKey = (from: Template, role: string): string[] =>
    statementsOf(from, role)
      .filter(({ Resource }) => list(Resource).some((resource) => resource.startsWith('<Key')))
      .flatMap(({ Action }) => list(Action))
      .toSorted();
  assert.deepEqual(onKey(withKey, 'Reader'), ['kms:Decrypt']);
  for (const role of ['Shipper', ...Object.keys(OBJECTS)]) {
    assert.deepEqual(onKey(withKey, role), ['kms:Decrypt', 'kms:GenerateDataKey'], role);
  }
});
