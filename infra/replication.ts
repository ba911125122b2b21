/** A copy of everything in another bucket, usually in another region. */
import { Stack } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { type Bucket, CfnBucket } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import { acknowledgeWildcards } from './acknowledge.ts';
import type { ReplicationProps } from './props.ts';
import { allowKey } from './worker.ts';

export function replicate(scope: Construct, id: string, bucket: Bucket, props: ReplicationProps): Role {
  const { bucketArn, keyArn, storageClass, deletions = true } = props;
  const stack = Stack.of(scope);
  const role = new Role(scope, id, {
    description: 'Copies the backups to another bucket',
    assumedBy: new ServicePrincipal('s3.amazonaws.com', {
      conditions: { StringEquals: { 'aws:SourceAccount': stack.account } },
    }),
  });
  const allow = (actions: string[], resources: string[]): void => {
    role.addToPrincipalPolicy(new PolicyStatement({ actions, resources }));
    acknowledgeWildcards(role, resources, 'replication copies every object');
  };
  allow(['s3:GetReplicationConfiguration', 's3:ListBucket'], [bucket.bucketArn]);
  allow(
    ['s3:GetObjectVersionForReplication', 's3:GetObjectVersionAcl', 's3:GetObjectVersionTagging'],
    [bucket.arnForObjects('*')],
  );
  allow(['s3:ReplicateObject', 's3:ReplicateTags', ...(deletions ? ['s3:ReplicateDelete'] : [])], [`${bucketArn}/*`]);
  allowKey(bucket.encryptionKey, role, 'read');
  if (keyArn !== undefined) allow(['kms:Encrypt', 'kms:GenerateDataKey'], [keyArn]);

  const resource = bucket.node.defaultChild;
  if (!(resource instanceof CfnBucket)) throw new Error('the bucket has no resource to configure');
  resource.replicationConfiguration = {
    role: role.roleArn,
    rules: [
      {
        id: 'copy-everything',
        status: 'Enabled',
        priority: 0,
        filter: { prefix: '' },
        deleteMarkerReplication: { status: deletions ? 'Enabled' : 'Disabled' },
        ...(keyArn !== undefined && { sourceSelectionCriteria: { sseKmsEncryptedObjects: { status: 'Enabled' } } }),
        destination: {
          bucket: bucketArn,
          ...(storageClass !== undefined && { storageClass: storageClass.value }),
          ...(keyArn !== undefined && { encryptionConfiguration: { replicaKmsKeyId: keyArn } }),
        },
      },
    ],
  };
  return role;
}
