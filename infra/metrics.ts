/** The metrics that the functions publish, as CloudWatch finds them. */
import type { Duration } from 'aws-cdk-lib';
import { Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';

export type MetricName =
  | 'BackupAge'
  | 'DatabasesSwept'
  | 'RetentionRefused'
  | 'CompactionFailed'
  | 'DrillFailed'
  | 'DrillPassed'
  | 'RestoreFailed';

/** Over all databases. */
export function metric(
  namespace: string,
  metricName: MetricName,
  period: Duration,
  statistic: string = Stats.SUM,
): Metric {
  return new Metric({ namespace, metricName, statistic, period });
}
