/** A queue with a dead-letter queue, both encrypted and for TLS only. */
import { Duration } from 'aws-cdk-lib';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { QueuedSettings } from './settings.ts';

/** A message that a crashed run held comes back after this many timeouts of the function, as Lambda recommends. */
const VISIBILITY = 6;

export interface WorkQueueProps {
  readonly settings: QueuedSettings;
  /** How long Lambda gathers messages before a run. */
  readonly window?: Duration;
  /** How long work that nobody does is kept. */
  readonly retention: Duration;
}

export class WorkQueue extends Construct {
  readonly queue: Queue;
  readonly deadLetters: Queue;

  constructor(scope: Construct, id: string, { settings, window, retention }: WorkQueueProps) {
    super(scope, id);
    const common = { encryption: QueueEncryption.SQS_MANAGED, enforceSSL: true };
    this.deadLetters = new Queue(this, 'DeadLetters', { ...common, retentionPeriod: Duration.days(14) });
    this.queue = new Queue(this, 'Queue', {
      ...common,
      retentionPeriod: retention,
      visibilityTimeout: Duration.seconds(VISIBILITY * settings.timeout.toSeconds() + (window?.toSeconds() ?? 0)),
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: settings.maxReceiveCount },
    });
  }
}
