/**
 * The sweep: on a schedule, one message for each database. It enforces retention, measures the age and makes up for
 * missed compaction.
 */
import { Duration } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { Databases } from './object-access.ts';
import type { Settings } from './settings.ts';
import { Timer } from './timer.ts';
import { WorkQueue } from './work-queue.ts';
import { Worker, type FunctionContext } from './worker.ts';

export class Sweep extends Construct {
  readonly worker: Worker;
  readonly work: WorkQueue;

  constructor(scope: Construct, id: string, workplace: FunctionContext, all: Settings) {
    super(scope, id);
    const { sweep: settings, retention, compaction } = all;
    const databases = new Databases(workplace.bucket, workplace.root);
    this.work = new WorkQueue(this, 'Work', { settings, retention: Duration.days(1) });
    this.worker = new Worker(this, 'Retain', workplace, {
      name: 'retain',
      description: 'Deletes what the retention policy no longer keeps, and measures the age of every backup',
      settings,
      failures: this.work,
      environment: {
        SEAWALL_RETENTION: JSON.stringify(retention),
        SEAWALL_QUEUE_URL: this.work.queue.queueUrl,
        SEAWALL_POLICY_RATIO: String(compaction.ratio),
        SEAWALL_POLICY_MAX_AGE: String(compaction.maxAge.toMilliseconds()),
      },
      permissions: [
        databases.list(),
        databases.listUploads(),
        databases.read(),
        ...databases.create('generations/*/snapshots/*'),
        databases.put('seawall/floors', 'seawall/reports/*'),
        databases.delete('generations/*', 'seawall/reports/*'),
        databases.abortUploads(),
        new PolicyStatement({ actions: ['sqs:SendMessage'], resources: [this.work.queue.queueArn] }),
      ],
    });
    this.worker.feedFrom(this.work, settings);
    new Timer(this, 'Timer', {
      worker: this.worker,
      every: settings.interval,
      input: { seawall: 'sweep' },
      description: 'Looks at every database that seawall backs up',
      enabled: true,
      failures: this.work,
    });
  }
}
