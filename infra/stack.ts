/** A stack that holds only a backup, and mails its alarms to an address. */
import { Stack, type StackProps } from 'aws-cdk-lib';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { type ITopic, Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Construct } from 'constructs';
import type { SqliteBackupProps } from './props.ts';
import { SqliteBackup } from './sqlite-backup.ts';

/** Options of {@link SqliteBackupStack} and their defaults. */
export interface SqliteBackupStackProps extends StackProps {
  /** @default see {@link SqliteBackupProps} */
  readonly backup?: SqliteBackupProps;
  /**
   * Address that alarms are mailed to, once it has been confirmed.
   *
   * @default alarms are shown in the console, and sent to `backup.alarms.topic` if that is set
   */
  readonly alarmEmail?: string;
}

/**
 * A stack that holds one {@link SqliteBackup}, and mails its alarms. Throws a TypeError if `alarmEmail` is not an
 * address, or is set together with `backup.alarms.topic`.
 */
export class SqliteBackupStack extends Stack {
  /** The backup in this stack. */
  readonly backup: SqliteBackup;

  constructor(scope: Construct, id: string, props: SqliteBackupStackProps = {}) {
    const { backup = {}, alarmEmail, ...stack } = props;
    super(scope, id, { description: 'Backups of SQLite databases (seawall)', ...stack });
    if (alarmEmail !== undefined && backup.alarms?.topic !== undefined) {
      throw new TypeError(
        'alarmEmail and backup.alarms.topic are both set: subscribe the address to the topic instead',
      );
    }
    const topic = alarmEmail === undefined ? backup.alarms?.topic : this.#mailing(alarmEmail);
    this.backup = new SqliteBackup(this, 'Backup', {
      ...backup,
      ...(topic !== undefined && { alarms: { ...backup.alarms, topic } }),
    });
  }

  #mailing(address: string): ITopic {
    if (!/^[^\s@]+@[^\s@]+$/.test(address)) {
      throw new RangeError(`alarmEmail ${JSON.stringify(address)} is no mail address`);
    }
    // No key: alarms cannot be sent to a topic that the AWS-managed key encrypts, and they hold no data.
    const topic = new Topic(this, 'AlarmTopic', { enforceSSL: true });
    // This policy replaces the default one, which let this account's alarms publish.
    topic.addToResourcePolicy(
      new PolicyStatement({
        sid: 'AlarmsOfThisAccount',
        principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['sns:Publish'],
        resources: [topic.topicArn],
        conditions: { StringEquals: { 'aws:SourceAccount': this.account } },
      }),
    );
    topic.addSubscription(new EmailSubscription(address));
    return topic;
  }
}
