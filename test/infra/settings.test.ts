/** What could not work is refused before anything is deployed, with words that say what to change. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Duration } from 'aws-cdk-lib';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { type IBucket, StorageClass } from 'aws-cdk-lib/aws-s3';
import type { SqliteBackupProps } from '../../infra/props.ts';
import { checkedPrefix, settingsOf } from '../../infra/settings.ts';

const MINUTE = Duration.minutes(1);
const bucket = {} as IBucket;
const encryptionKey = {} as IKey;

const REFUSED: readonly (readonly [props: SqliteBackupProps, words: RegExp])[] = [
  [{ root: 'dbs' }, /^root must be empty or end with a slash: "dbs" should be "dbs\/"$/],
  [{ root: '/dbs/' }, /^root "\/dbs" must be folder names/],
  [{ root: 'a//b/' }, /folder names joined by single slashes/],
  [{ root: '../a/' }, /^root/],
  [{ root: 'db*/' }, /wildcards/],
  [{ root: '${aws:username}/' }, /wildcards/],
  [{ root: 'restores/x/' }, /must not lie in restores\//],
  [
    { bucket, bucketName: 'x', objectLock: { mode: 'governance', duration: Duration.days(1) } },
    /so bucketName, objectLock cannot be set/,
  ],
  [{ objectLock: { mode: 'governance', duration: Duration.hours(1) } }, /^objectLock\.duration must be whole days/],
  [{ noncurrentExpiry: Duration.hours(36) }, /^noncurrentExpiry must be whole days/],
  [{ restoresExpiry: Duration.days(0) }, /^restoresExpiry must be whole days, 1 or more/],
  [{ coldStorage: { after: Duration.days(10) } }, /10 days; STANDARD_IA takes objects after 30 days/],
  [
    { coldStorage: { after: Duration.days(90), storageClass: StorageClass.DEEP_ARCHIVE } },
    /DEEP_ARCHIVE cannot be read at once/,
  ],
  [{ replication: { bucketArn: 'my-copy' } }, /no ARN of a bucket, such as arn:aws:s3:::my-copy$/],
  [{ replication: { bucketArn: 'arn:aws:s3:::my-copy' }, encryptionKey }, /replication needs keyArn/],
  [{ compaction: { ratio: 0 } }, /^compaction\.ratio must be a number above 0, not 0$/],
  [
    { compaction: { timeout: Duration.minutes(16) } },
    /^compaction\.timeout must be 30 seconds to 15 minutes, not 16 minutes$/,
  ],
  [{ compaction: { memorySize: 128 } }, /^compaction\.memorySize must be a whole number from 256 to 10240, not 128$/],
  [{ compaction: { batchSize: 11 } }, /^compaction\.batchSize must be a whole number from 1 to 10, not 11$/],
  [{ compaction: { maxConcurrency: 1 } }, /^compaction\.maxConcurrency must be a whole number from 2 to 1000, not 1$/],
  [
    { compaction: { reservedConcurrency: 4, maxConcurrency: 8 } },
    /Reserve 8 or more, or lower compaction\.maxConcurrency/,
  ],
  [{ drill: { reservedConcurrency: 1 } }, /drill\.reservedConcurrency is 1, but its queue starts up to 2/],
  [{ retention: { daily: 1.5 } }, /^retention\.daily must be a whole number of at least 0, not 1\.5$/],
  [{ sweep: { interval: Duration.seconds(90) } }, /^sweep\.interval must be whole minutes/],
  [{ sweep: { interval: Duration.days(2) } }, /^sweep\.interval must be 1 minute to 1 day, not 2 days$/],
  [{ drill: { interval: MINUTE } }, /^drill\.interval must be 1 hour to 6 days/],
  [{ drill: { diskSize: 100 } }, /^drill\.diskSize/],
  [{ restore: { diskSize: 20_000 } }, /^restore\.diskSize/],
  [{ alarms: { backupAge: MINUTE } }, /every five minutes that it is alive/],
  [{ metricsNamespace: 'AWS/Seawall' }, /not begin with AWS\//],
];

for (const [props, words] of REFUSED) {
  test(`refused: ${words.source}`, () => {
    assert.throws(
      () => settingsOf(props),
      (error) => (error instanceof RangeError || error instanceof TypeError) && words.test(error.message),
    );
  });
}

test('databases are named without wildcards, slashes at an end, or steps upwards', () => {
  assert.equal(checkedPrefix('eu/orders-1'), 'eu/orders-1');
  for (const name of ['', '/a', 'a/', 'a//b', '*', 'a?', '..', 'a/../b', 'a b', '${x}']) {
    assert.throws(() => checkedPrefix(name), RangeError, JSON.stringify(name));
  }
});

test('without props, the defaults that the props promise', () => {
  const settings = settingsOf({});
  assert.equal(settings.root, '');
  assert.deepEqual(settings.retention, { window: 604_800_000, daily: 14, weekly: 8, monthly: 12, grace: 3_600_000 });
  assert.equal(settings.backupAge.toMinutes(), 15);
  assert.equal(settings.compaction.reservedConcurrency, undefined);
  assert.equal(settingsOf({ compaction: { reservedConcurrency: 3 } }).compaction.maxConcurrency, 3);
});
