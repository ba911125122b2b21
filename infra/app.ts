/**
 * The app behind `npx cdk deploy` in a clone. Its context values (`-c name=value`, or in cdk.json):
 *
 * - `stack`       name of the stack; default `seawall`
 * - `root`        folder in the bucket below which databases lie: `dbs/`
 * - `bucketName`  name of the bucket
 * - `alarmEmail`  address that alarms are mailed to
 */
import { App, type Environment } from 'aws-cdk-lib';
import { SqliteBackupStack } from './stack.ts';

const app = new App();
const stack = context('stack') ?? 'seawall';
const root = context('root');
const bucketName = context('bucketName');
const alarmEmail = context('alarmEmail');
const { CDK_DEFAULT_ACCOUNT: account, CDK_DEFAULT_REGION: region } = process.env;
const env: Environment = { ...(account !== undefined && { account }), ...(region !== undefined && { region }) };

new SqliteBackupStack(app, stack, {
  env,
  backup: { ...(root !== undefined && { root }), ...(bucketName !== undefined && { bucketName }) },
  ...(alarmEmail !== undefined && { alarmEmail }),
});
app.synth();

function context(name: string): string | undefined {
  const value: unknown = app.node.tryGetContext(name);
  if (value === undefined || typeof value === 'string') return value;
  throw new TypeError(`the context value ${name} must be a string, not ${JSON.stringify(value)}`);
}
