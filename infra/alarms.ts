/** The alarms of a backup. Each description says what the alarm means and names the runbook. */
import { Duration } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator, type IMetric, Stats, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { Construct, type IConstruct } from 'constructs';
import { metric } from './metrics.ts';
import type { Settings } from './settings.ts';
import type { WorkQueue } from './work-queue.ts';
import type { Worker } from './worker.ts';

export interface AlarmsProps {
  readonly workers: Readonly<Record<string, Worker>>;
  readonly queues: Readonly<Record<string, WorkQueue>>;
  readonly settings: Settings;
  readonly topic: ITopic | undefined;
}

interface Rule {
  readonly metric: IMetric;
  /** The alarm goes off at this value and above, unless `below` is set. */
  readonly threshold: number;
  readonly below?: true;
  readonly says: string;
  readonly periods?: number;
  readonly missing?: TreatMissingData;
}

const RUNBOOK = 'See docs/OPERATIONS.md of seawall.';
const FIVE_MINUTES = Duration.minutes(5);
const DAY = Duration.days(1);

/** The alarms of a backup. */
export interface SqliteBackupAlarms extends IConstruct {
  /** All alarms, so that actions can be added besides the topic's. */
  readonly all: readonly Alarm[];
}

export class Alarms extends Construct implements SqliteBackupAlarms {
  readonly all: readonly Alarm[];
  readonly #topic: ITopic | undefined;

  constructor(scope: Construct, id: string, { workers, queues, settings, topic }: AlarmsProps) {
    super(scope, id);
    this.#topic = topic;
    const { namespace, sweep, drill, backupAge } = settings;
    const all: Alarm[] = [];
    for (const [name, { deadLetters }] of Object.entries(queues)) {
      all.push(
        this.#alarm(`${name}DeadLetters`, {
          metric: deadLetters.metricApproximateNumberOfMessagesVisible({
            period: FIVE_MINUTES,
            statistic: Stats.MAXIMUM,
          }),
          threshold: 1,
          says: `Work of ${name.toLowerCase()} failed every time and was set aside.`,
        }),
      );
    }
    for (const [name, worker] of Object.entries(workers)) {
      all.push(
        this.#alarm(`${name}Errors`, {
          metric: worker.function.metricErrors({ period: FIVE_MINUTES }),
          threshold: 1,
          says: `The function ${name.toLowerCase()} failed; its log says why.`,
        }),
        this.#alarm(`${name}Throttles`, {
          metric: worker.function.metricThrottles({ period: FIVE_MINUTES }),
          threshold: 1,
          periods: 3,
          says: `The function ${name.toLowerCase()} is kept waiting: too little concurrency is left in the account, or reserved for it.`,
        }),
      );
    }
    all.push(
      this.#alarm('BackupAge', {
        metric: metric(namespace, 'BackupAge', sweep.interval, Stats.MAXIMUM),
        threshold: backupAge.toSeconds(),
        missing: TreatMissingData.BREACHING,
        says: `A database was not backed up for ${backupAge.toHumanString()}, or no sweep measured it. Is its shipper running?`,
      }),
      this.#alarm('RetentionRefused', {
        metric: metric(namespace, 'RetentionRefused', sweep.interval),
        threshold: 1,
        says: 'Retention refused to delete: the plan would have left a hole. The report in <database>/seawall/reports/ says where.',
      }),
      this.#alarm('DrillFailed', {
        metric: metric(namespace, 'DrillFailed', Duration.hours(1)),
        threshold: 1,
        says: 'A database could not be restored, or not proven. The evidence is in <database>/seawall/drills/.',
      }),
    );
    if (drill.enabled) {
      all.push(
        this.#alarm('DrillMissing', {
          metric: metric(namespace, 'DrillPassed', DAY),
          threshold: 1,
          below: true,
          periods: Math.ceil(drill.interval.toDays({ integral: false })) + 1,
          missing: TreatMissingData.BREACHING,
          says: 'No restore was proven for longer than the interval of the drills.',
        }),
      );
    }
    this.all = all;
  }

  #alarm(id: string, { metric, threshold, below, says, periods = 1, missing }: Rule): Alarm {
    const alarm = new Alarm(this, id, {
      alarmDescription: `${says} ${RUNBOOK}`,
      metric,
      threshold,
      evaluationPeriods: periods,
      comparisonOperator:
        below === true ? ComparisonOperator.LESS_THAN_THRESHOLD : ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: missing ?? TreatMissingData.NOT_BREACHING,
    });
    if (this.#topic !== undefined) {
      alarm.addAlarmAction(new SnsAction(this.#topic));
      alarm.addOkAction(new SnsAction(this.#topic));
    }
    return alarm;
  }
}
