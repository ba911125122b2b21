/** The functions' own metrics, as CloudWatch stores them. */
import type { Duration } from 'aws-cdk-lib';
import { Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';

/** The metrics that alarms and dashboard show: some of those that the functions publish, by the same names. */
export const METRIC_NAMES = [
  'BackupAge',
  'DatabasesSwept',
  'RetentionRefused',
  'CompactionFailed',
  'DrillFailed',
  'DrillPassed',
  'RestoreFailed',
] as const;

export type MetricName = (typeof METRIC_NAMES)[number];

/** A metric over all databases: without dimensions, as the functions publish it. */
export function metric(
  namespace: string,
  metricName: MetricName,
  period: Duration,
  statistic: string = Stats.SUM,
): Metric {
  return new Metric({ namespace, metricName, statistic, period });
}
