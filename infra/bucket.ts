/** The bucket: private, encrypted, versioned and retained, with lifecycle rules that keep it small. */
import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import {
  BlockPublicAccess,
  Bucket,
  BucketEncryption,
  type LifecycleRule,
  ObjectLockRetention,
  ObjectOwnership,
  StorageClass,
} from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import { acknowledge } from './acknowledge.ts';
import { RESTORES } from './object-access.ts';
import type { ObjectLockProps, SqliteBackupProps } from './props.ts';

const MIB = 1 << 20;

export function createBucket(scope: Construct, id: string, root: string, props: SqliteBackupProps): Bucket {
  const { bucketName, encryptionKey, objectLock, serverAccessLogs } = props;
  const bucket = new Bucket(scope, id, {
    ...(bucketName !== undefined && { bucketName }),
    blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
    objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
    enforceSSL: true,
    minimumTLSVersion: 1.2,
    versioned: true,
    removalPolicy: props.removalPolicy ?? RemovalPolicy.RETAIN,
    lifecycleRules: lifecycle(root, props),
    ...(encryptionKey === undefined
      ? { encryption: BucketEncryption.S3_MANAGED }
      : { encryption: BucketEncryption.KMS, encryptionKey, bucketKeyEnabled: true }),
    ...(objectLock !== undefined && { objectLockEnabled: true, objectLockDefaultRetention: lock(objectLock) }),
    ...(serverAccessLogs !== undefined && {
      serverAccessLogsBucket: serverAccessLogs.bucket,
      serverAccessLogsPrefix: serverAccessLogs.prefix ?? 'seawall/',
    }),
  });
  if (serverAccessLogs === undefined) {
    acknowledge(
      bucket,
      'AwsSolutions-S1',
      'An access log needs a second bucket and is not wanted by all; serverAccessLogs switches it on. CloudTrail data events tell the same.',
    );
  }
  if (props.coldStorage !== undefined) {
    acknowledge(
      bucket,
      'CloudFormation-Validate::W9003',
      'CDK writes ObjectSizeGreaterThan as a number; CloudFormation takes it',
    );
  }
  return bucket;
}

function lock({ mode, duration }: ObjectLockProps): ObjectLockRetention {
  return mode === 'compliance' ? ObjectLockRetention.compliance(duration) : ObjectLockRetention.governance(duration);
}

function lifecycle(root: string, props: SqliteBackupProps): LifecycleRule[] {
  const rules: LifecycleRule[] = [
    // A week: the first snapshot of a large database over a slow line may take days.
    { id: 'abort-unfinished-uploads', abortIncompleteMultipartUploadAfter: Duration.days(7) },
    {
      id: 'expire-noncurrent-versions',
      noncurrentVersionExpiration: props.noncurrentExpiry ?? Duration.days(14),
      expiredObjectDeleteMarker: true,
    },
    {
      id: 'expire-restores',
      prefix: RESTORES,
      expiration: props.restoresExpiry ?? Duration.days(7),
      abortIncompleteMultipartUploadAfter: Duration.days(1),
    },
  ];
  if (props.coldStorage !== undefined) {
    const { after, storageClass = StorageClass.INFREQUENT_ACCESS, largerThan = MIB } = props.coldStorage;
    rules.push({
      id: 'move-old-snapshots',
      ...(root !== '' && { prefix: root }),
      objectSizeGreaterThan: largerThan,
      transitions: [{ storageClass, transitionAfter: after }],
    });
  }
  return rules;
}
