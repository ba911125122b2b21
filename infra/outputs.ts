/** The outputs of the stack: what is needed to configure an app and to restore a database. */
import { CfnOutput, Stack } from 'aws-cdk-lib';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import type { IBucket } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';

/** URL of a replica, for the shipper and the command line. */
export function replicaUrl(scope: Construct, bucket: IBucket, root: string, database: string): string {
  return `s3://${bucket.bucketName}/${root}${database}?region=${Stack.of(scope).region}`;
}

export function printOutputs(scope: Construct, bucket: IBucket, root: string, restore: IFunction): void {
  const replica = replicaUrl(scope, bucket, root, 'app');
  const region = Stack.of(scope).region;
  const outputs: Readonly<Record<string, readonly [description: string, value: string]>> = {
    BucketName: ['The bucket with the backups', bucket.bucketName],
    ShipperConfiguration: [
      'In the app; "app" at the end of the URL stands for the name of the database',
      `new Shipper({ database: 'data/app.db', replica: '${replica}', restore: 'if-missing' })`,
    ],
    ShipCommand: ['The same for apps in other languages', `npx seawall ship data/app.db '${replica}'`],
    RestoreFunctionName: ['The function that restores', restore.functionName],
    RestoreByFunctionCommand: [
      'Brings a database back by the function, with the right to invoke it alone; --at takes a moment',
      `npx seawall restore --lambda ${restore.functionName} --region ${region} --database app -o app.db`,
    ],
    RestoreCommand: ['Brings a database back without it', `npx seawall restore '${replica}' -o app.db`],
  };
  for (const [id, [description, value]] of Object.entries(outputs)) new CfnOutput(scope, id, { description, value });
}
