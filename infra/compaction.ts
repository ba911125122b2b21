/** The compaction function. Each completed index invokes it through a queue. */
import { Duration } from 'aws-cdk-lib';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { Databases } from './object-access.ts';
import type { Settings } from './settings.ts';
import { WorkQueue } from './work-queue.ts';
import { Worker, type FunctionContext } from './worker.ts';

export class Compaction extends Construct {
  readonly worker: Worker;
  readonly work: WorkQueue;

  constructor(scope: Construct, id: string, workplace: FunctionContext, settings: Settings['compaction']) {
    super(scope, id);
    const databases = new Databases(workplace.bucket, workplace.root);
    this.work = new WorkQueue(this, 'Work', {
      settings,
      window: settings.batchingWindow,
      retention: Duration.days(4),
    });
    this.worker = new Worker(this, 'Compact', workplace, {
      name: 'compact',
      description: 'Makes new snapshots from WAL, so that restores stay short',
      settings,
      environment: {
        SEAWALL_POLICY_RATIO: String(settings.ratio),
        SEAWALL_POLICY_MAX_AGE: String(settings.maxAge.toMilliseconds()),
      },
      permissions: [databases.list(), databases.read(), ...databases.create('generations/*/snapshots/*')],
    });
    this.worker.feedFrom(this.work, settings, settings.batchingWindow);
  }

  get queue(): Queue {
    return this.work.queue;
  }
}
