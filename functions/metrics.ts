/**
 * Metrics in CloudWatch's embedded format: lines in the log, no requests. Written by hand because the alarms want
 * metrics without dimensions, and one line can give a value both with and without its database; the metrics utility of
 * Powertools puts a `service` dimension on everything.
 */

/** Every metric that the functions publish. */
export const METRIC_NAMES = [
  'Compactions',
  'CompactionFailed',
  'DatabasesSwept',
  'RetentionRefused',
  'RetentionFailed',
  'BackupAge',
  'Restores',
  'RestoreFailed',
  'DrillPassed',
  'DrillFailed',
] as const;

export type MetricName = (typeof METRIC_NAMES)[number];

export interface Metrics {
  /** Adds `value` to a count. Zero records that nothing happened, so that an alarm has data. */
  count(name: MetricName, value: number): void;
  /** Seconds, for all databases together and for this one. */
  age(name: MetricName, seconds: number, database: string): void;
}

export interface MetricsOptions {
  readonly namespace: string;
  /** Whether ages also get a `Database` dimension. CloudWatch charges for each database as a custom metric. */
  readonly perDatabase: boolean;
  readonly now: () => number;
  readonly write: (line: string) => void;
}

export function embeddedMetrics({ namespace, perDatabase, now, write }: MetricsOptions): Metrics {
  const emit = (
    name: MetricName,
    unit: 'Count' | 'Seconds',
    value: number,
    dimensions: readonly (readonly string[])[],
    properties: Readonly<Record<string, string>>,
  ): void => {
    const metrics = [{ Namespace: namespace, Dimensions: dimensions, Metrics: [{ Name: name, Unit: unit }] }];
    write(JSON.stringify({ _aws: { Timestamp: now(), CloudWatchMetrics: metrics }, ...properties, [name]: value }));
  };
  return {
    count: (name, value) => {
      emit(name, 'Count', value, [[]], {});
    },
    age: (name, seconds, database) => {
      // A dimension's value must not be empty. '' is the root itself.
      const Database = database === '' ? '/' : database;
      emit(name, 'Seconds', seconds, perDatabase ? [[], ['Database']] : [[]], { Database });
    },
  };
}
