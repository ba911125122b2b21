/** A CloudWatch dashboard that shows whether the backups work. */
import { Duration } from 'aws-cdk-lib';
import {
  AlarmStatusWidget,
  Dashboard,
  GraphWidget,
  type IWidget,
  Metric,
  SingleValueWidget,
  Stats,
} from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';
import type { SqliteBackupAlarms } from './alarms.ts';
import { metric } from './metrics.ts';
import type { Settings } from './settings.ts';
import type { WorkQueue } from './work-queue.ts';
import type { Worker } from './worker.ts';

export interface DashboardProps {
  readonly workers: Readonly<Record<string, Worker>>;
  readonly queues: Readonly<Record<string, WorkQueue>>;
  readonly settings: Settings;
  readonly alarms: SqliteBackupAlarms | undefined;
}

const HOUR = Duration.hours(1);
const FIVE_MINUTES = Duration.minutes(5);

export function createDashboard(scope: Construct, id: string, shown: DashboardProps): Dashboard {
  const { settings, alarms } = shown;
  const { namespace, sweep } = settings;
  const top: IWidget[] = [
    new SingleValueWidget({
      title: 'Oldest backup (s) and databases',
      width: 12,
      height: 6,
      metrics: [
        metric(namespace, 'BackupAge', sweep.interval, Stats.MAXIMUM),
        metric(namespace, 'DatabasesSwept', sweep.interval),
      ],
    }),
  ];
  if (alarms !== undefined) {
    top.push(new AlarmStatusWidget({ title: 'Alarms', width: 12, height: 6, alarms: [...alarms.all] }));
  }
  return new Dashboard(scope, id, { widgets: [top, ageAndProof(settings), load(shown)] });
}

function ageAndProof({ namespace, sweep, backupAge }: Settings): IWidget[] {
  const each = new Metric({
    namespace,
    metricName: 'BackupAge',
    statistic: Stats.MAXIMUM,
    period: sweep.interval,
    label: 'oldest',
  });
  return [
    new GraphWidget({
      title: 'Backup age (s)',
      width: 12,
      left: [each],
      leftAnnotations: [{ value: backupAge.toSeconds(), label: 'alarm' }],
    }),
    new GraphWidget({
      title: 'Restores proven, and what failed',
      width: 12,
      left: (['DrillPassed', 'DrillFailed', 'RestoreFailed', 'CompactionFailed', 'RetentionRefused'] as const).map(
        (name) => metric(namespace, name, HOUR),
      ),
    }),
  ];
}

function load({ workers, queues }: DashboardProps): IWidget[] {
  return [
    new GraphWidget({
      title: 'Messages waiting, and set aside',
      width: 8,
      left: Object.entries(queues).flatMap(([name, { queue, deadLetters }]) => [
        queue.metricApproximateNumberOfMessagesVisible({ period: FIVE_MINUTES, label: name }),
        deadLetters.metricApproximateNumberOfMessagesVisible({ period: FIVE_MINUTES, label: `${name}, set aside` }),
      ]),
    }),
    new GraphWidget({
      title: 'Duration, longest (ms)',
      width: 8,
      left: Object.entries(workers).map(([name, worker]) =>
        worker.function.metricDuration({ period: FIVE_MINUTES, statistic: Stats.MAXIMUM, label: name }),
      ),
    }),
    new GraphWidget({
      title: 'Errors and throttles',
      width: 8,
      left: Object.entries(workers).flatMap(([name, worker]) => [
        worker.function.metricErrors({ period: FIVE_MINUTES, label: `${name}: errors` }),
        worker.function.metricThrottles({ period: FIVE_MINUTES, label: `${name}: throttles` }),
      ]),
    }),
  ];
}
