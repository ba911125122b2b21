/**
 * Makes the bucket notify the queue of every completed index. It sets the bucket's own configuration, because the L2's
 * addEventNotification would add a function to the stack that may change the notifications of every bucket.
 */
import { Stack } from 'aws-cdk-lib';
import { Effect, PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { type Bucket, CfnBucket } from 'aws-cdk-lib/aws-s3';
import { type Queue, QueuePolicy } from 'aws-cdk-lib/aws-sqs';

/** The first segment of index N exists exactly when index N − 1 is complete. */
const INDEX_COMPLETE = ['_00000000.wal.lz4', '_00000000.wal.zst'] as const;

export function notify(bucket: Bucket, queue: Queue, root: string, bucketName: string | undefined): void {
  const stack = Stack.of(bucket);
  queue.addToResourcePolicy(
    new PolicyStatement({
      sid: 'EventsOfTheBucket',
      effect: Effect.ALLOW,
      principals: [new ServicePrincipal('s3.amazonaws.com')],
      actions: ['sqs:SendMessage'],
      resources: [queue.queueArn],
      conditions: {
        StringEquals: { 'aws:SourceAccount': stack.account },
        // The policy is created before the bucket, so it cannot refer to a name that CloudFormation generates.
        ArnLike: { 'aws:SourceArn': stack.formatArn(s3Arn(bucketName ?? '*')) },
      },
    }),
  );
  const resource = bucket.node.defaultChild;
  if (!(resource instanceof CfnBucket)) throw new Error('the bucket has no resource to configure');
  resource.notificationConfiguration = {
    queueConfigurations: INDEX_COMPLETE.map((suffix) => ({
      event: 's3:ObjectCreated:*',
      queue: queue.queueArn,
      filter: {
        s3Key: {
          rules: [...(root === '' ? [] : [{ name: 'prefix', value: root }]), { name: 'suffix', value: suffix }],
        },
      },
    })),
  };
  for (const child of queue.node.children) {
    if (child instanceof QueuePolicy) resource.node.addDependency(child);
  }
}

function s3Arn(bucketName: string): { service: string; region: string; account: string; resource: string } {
  return { service: 's3', region: '', account: '', resource: bucketName };
}
