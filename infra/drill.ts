/** The drill: on a schedule, it restores every database without keeping the file, and records the evidence. */
import { Duration } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { Databases } from './object-access.ts';
import type { Settings } from './settings.ts';
import { Timer } from './timer.ts';
import { WorkQueue } from './work-queue.ts';
import { Worker, type FunctionContext } from './worker.ts';

export class Drill extends Construct {
  readonly worker: Worker;
  readonly work: WorkQueue;

  constructor(scope: Construct, id: string, workplace: FunctionContext, settings: Settings['drill']) {
    super(scope, id);
    const databases = new Databases(workplace.bucket, workplace.root);
    this.work = new WorkQueue(this, 'Work', { settings, retention: Duration.days(1) });
    this.worker = new Worker(this, 'Drill', workplace, {
      name: 'drill',
      description: 'Restores the newest and a random past state of every database, and keeps the evidence',
      settings,
      disk: settings.disk,
      failures: this.work,
      environment: { SEAWALL_DRILL_QUEUE_URL: this.work.queue.queueUrl },
      permissions: [
        databases.list(),
        databases.read(),
        databases.put('seawall/drills/*'),
        databases.delete('seawall/drills/*'), // evidence that has become too old
        new PolicyStatement({ actions: ['sqs:SendMessage'], resources: [this.work.queue.queueArn] }),
      ],
    });
    this.worker.feedFrom(this.work, settings);
    new Timer(this, 'Timer', {
      worker: this.worker,
      every: settings.interval,
      input: { seawall: 'drill' },
      description: 'Proves that every database can be restored',
      enabled: settings.enabled,
      failures: this.work,
    });
  }
}
