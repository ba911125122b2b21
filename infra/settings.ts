/** Reads the props: fills in defaults, and refuses values that cannot work. The message says what to change. */
import { Duration, Size, Token } from 'aws-cdk-lib';
import { StorageClass } from 'aws-cdk-lib/aws-s3';
import type { FunctionProps, QueuedFunctionProps, SqliteBackupProps } from './props.ts';

export interface FunctionSettings {
  readonly memorySize: number;
  readonly timeout: Duration;
  readonly reservedConcurrency: number | undefined;
}

export interface QueuedSettings extends FunctionSettings {
  readonly maxConcurrency: number;
  readonly batchSize: number;
  readonly maxReceiveCount: number;
}

export interface RetentionSettings {
  /** Milliseconds. */
  readonly window: number;
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
  /** Milliseconds. */
  readonly grace: number;
}

export interface Settings {
  readonly root: string;
  readonly compaction: QueuedSettings & {
    readonly ratio: number;
    readonly maxAge: Duration;
    readonly batchingWindow: Duration;
  };
  readonly retention: RetentionSettings;
  readonly sweep: QueuedSettings & { readonly interval: Duration };
  readonly restore: FunctionSettings & { readonly disk: Size };
  readonly drill: QueuedSettings & { readonly interval: Duration; readonly disk: Size; readonly enabled: boolean };
  readonly backupAge: Duration;
  readonly namespace: string;
}

/** Throws a RangeError or TypeError that names the prop, its value and what is allowed. */
export function settingsOf(props: SqliteBackupProps): Settings {
  checkBucket(props);
  checkStorage(props);
  const { compaction = {}, retention = {}, sweep = {}, restore = {}, drill = {}, alarms = {} } = props;
  return {
    root: checkedRoot(props.root ?? ''),
    compaction: {
      ...queued('compaction', compaction, 10, 10),
      ratio: positive('compaction.ratio', compaction.ratio ?? 0.5),
      maxAge: between('compaction.maxAge', compaction.maxAge ?? Duration.days(1), Duration.minutes(1)),
      batchingWindow: between(
        'compaction.batchingWindow',
        compaction.batchingWindow ?? Duration.seconds(20),
        Duration.seconds(0),
        Duration.minutes(5),
      ),
    },
    retention: {
      window: milliseconds('retention.window', retention.window ?? Duration.days(7)),
      daily: whole('retention.daily', retention.daily ?? 14, 0),
      weekly: whole('retention.weekly', retention.weekly ?? 8, 0),
      monthly: whole('retention.monthly', retention.monthly ?? 12, 0),
      grace: milliseconds('retention.grace', retention.grace ?? Duration.hours(1)),
    },
    sweep: {
      ...queued('sweep', sweep, 10, 1),
      interval: wholeMinutes(
        'sweep.interval',
        sweep.interval ?? Duration.hours(1),
        Duration.minutes(1),
        Duration.days(1),
      ),
    },
    restore: { ...functionSettings('restore', restore), disk: disk('restore', restore.diskSize) },
    drill: {
      ...queued('drill', drill, 2, 1),
      interval: wholeMinutes('drill.interval', drill.interval ?? Duration.days(1), Duration.hours(1), Duration.days(6)),
      disk: disk('drill', drill.diskSize),
      enabled: drill.enabled ?? true,
    },
    backupAge: checkedAge(alarms.backupAge ?? Duration.minutes(15)),
    namespace: checkedNamespace(props.metricsNamespace ?? 'Seawall'),
  };
}

/** A folder or database name without characters that are special in S3 keys, IAM patterns or URLs. */
const PLAIN = /^[A-Za-z0-9_.=+@-]+(\/[A-Za-z0-9_.=+@-]+)*$/;

function checkedRoot(root: string): string {
  if (Token.isUnresolved(root)) {
    throw new TypeError('root must be known when the template is made: S3 filters events by it. Give a plain string.');
  }
  if (root === '') return root;
  if (!root.endsWith('/')) {
    throw new RangeError(`root must be empty or end with a slash: ${show(root)} should be ${show(`${root}/`)}`);
  }
  checkPlain('root', root.slice(0, -1));
  if (`${root}/`.startsWith('restores/')) {
    throw new RangeError(
      'root must not lie in restores/, where restored files are kept and expire. Choose another folder.',
    );
  }
  return root;
}

/** Checks a database's name below the root, as given to grants. */
export function checkedPrefix(prefix: string): string {
  checkPlain('prefix', prefix);
  return prefix;
}

function checkPlain(what: string, value: string): void {
  if (PLAIN.test(value) && value.split('/').every((part) => part !== '.' && part !== '..')) return;
  throw new RangeError(
    `${what} ${show(value)} must be folder names joined by single slashes, without one at the start, ` +
      `of letters, digits and _ . = + @ - only: wildcards and other signs would mean something else in a policy`,
  );
}

function checkBucket(props: SqliteBackupProps): void {
  if (props.bucket === undefined) return;
  const forOurs = [
    'bucketName',
    'encryptionKey',
    'objectLock',
    'serverAccessLogs',
    'noncurrentExpiry',
    'restoresExpiry',
    'coldStorage',
    'replication',
    'removalPolicy',
  ] as const;
  const given = forOurs.filter((name) => props[name] !== undefined);
  if (given.length > 0) {
    throw new TypeError(
      `bucket is your own, so ${given.join(', ')} cannot be set here: configure the bucket itself, or leave bucket out`,
    );
  }
}

const COLD: readonly StorageClass[] = [
  StorageClass.INFREQUENT_ACCESS,
  StorageClass.ONE_ZONE_INFREQUENT_ACCESS,
  StorageClass.INTELLIGENT_TIERING,
  StorageClass.GLACIER_INSTANT_RETRIEVAL,
];

function checkStorage(props: SqliteBackupProps): void {
  const { objectLock, coldStorage, noncurrentExpiry, restoresExpiry, replication } = props;
  if (objectLock !== undefined) wholeDays('objectLock.duration', objectLock.duration);
  if (noncurrentExpiry !== undefined) wholeDays('noncurrentExpiry', noncurrentExpiry);
  if (restoresExpiry !== undefined) wholeDays('restoresExpiry', restoresExpiry);
  if (coldStorage !== undefined) {
    const { after, storageClass = StorageClass.INFREQUENT_ACCESS, largerThan } = coldStorage;
    const days = wholeDays('coldStorage.after', after);
    if (!COLD.some((each) => each.value === storageClass.value)) {
      throw new RangeError(
        `coldStorage.storageClass ${storageClass.value} cannot be read at once, so restores would fail. ` +
          `Use one of ${COLD.map(({ value }) => value).join(', ')}.`,
      );
    }
    const infrequent = storageClass.value === 'STANDARD_IA' || storageClass.value === 'ONEZONE_IA';
    if (infrequent && days < 30) {
      throw new RangeError(
        `coldStorage.after is ${days} days; ${storageClass.value} takes objects after 30 days or more`,
      );
    }
    if (largerThan !== undefined) whole('coldStorage.largerThan', largerThan, 0);
  }
  if (replication !== undefined && props.encryptionKey !== undefined && replication.keyArn === undefined) {
    throw new TypeError(
      'encryptionKey is set, so replication needs keyArn, too: S3 copies what a key encrypts only to where it is told a key',
    );
  }
  if (replication !== undefined && !Token.isUnresolved(replication.bucketArn)) {
    if (!/^arn:[a-z-]+:s3:::[a-z0-9.-]{3,63}$/.test(replication.bucketArn)) {
      throw new RangeError(
        `replication.bucketArn ${show(replication.bucketArn)} is no ARN of a bucket, such as arn:aws:s3:::my-copy`,
      );
    }
  }
}

function functionSettings(name: string, given: FunctionProps): FunctionSettings {
  const { reservedConcurrency } = given;
  if (reservedConcurrency !== undefined) whole(`${name}.reservedConcurrency`, reservedConcurrency, 1);
  return {
    memorySize: whole(`${name}.memorySize`, given.memorySize ?? 1769, 256, 10_240),
    timeout: between(
      `${name}.timeout`,
      given.timeout ?? Duration.minutes(15),
      Duration.seconds(30),
      Duration.minutes(15),
    ),
    reservedConcurrency,
  };
}

function disk(name: string, megabytes = 4096): Size {
  return Size.mebibytes(whole(`${name}.diskSize`, megabytes, 512, 10_240));
}

function queued(name: string, given: QueuedFunctionProps, concurrency: number, batch: number): QueuedSettings {
  const settings = functionSettings(name, given);
  const { reservedConcurrency } = settings;
  const usual = Math.max(2, Math.min(concurrency, reservedConcurrency ?? concurrency));
  const maxConcurrency = whole(`${name}.maxConcurrency`, given.maxConcurrency ?? usual, 2, 1000);
  if (reservedConcurrency !== undefined && reservedConcurrency < maxConcurrency) {
    throw new RangeError(
      `${name}.reservedConcurrency is ${reservedConcurrency}, but its queue starts up to ${maxConcurrency} runs at the same time ` +
        `and the rest would be throttled. Reserve ${maxConcurrency} or more, or lower ${name}.maxConcurrency (not below 2).`,
    );
  }
  return {
    ...settings,
    maxConcurrency,
    batchSize: whole(`${name}.batchSize`, given.batchSize ?? batch, 1, 10),
    maxReceiveCount: whole(`${name}.maxReceiveCount`, given.maxReceiveCount ?? 5, 1, 1000),
  };
}

function checkedAge(age: Duration): Duration {
  if (age.toSeconds() > 300) return age;
  throw new RangeError(
    `alarms.backupAge is ${age.toSeconds()} seconds; an idle shipper says only every five minutes that it is alive. Give more than that.`,
  );
}

function checkedNamespace(namespace: string): string {
  if (/^(?!AWS\/)[A-Za-z0-9._/#-]{1,255}$/.test(namespace)) return namespace;
  throw new RangeError(
    `metricsNamespace ${show(namespace)} must be 1 to 255 letters, digits and . _ / # -, and not begin with AWS/`,
  );
}

function whole(name: string, value: number, least: number, most = Number.MAX_SAFE_INTEGER): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  throw new RangeError(`${name} must be a whole number ${range}, not ${value}`);
}

function positive(name: string, value: number): number {
  if (Number.isFinite(value) && value > 0) return value;
  throw new RangeError(`${name} must be a number above 0, not ${value}`);
}

function milliseconds(name: string, value: Duration): number {
  return between(name, value, Duration.seconds(0)).toMilliseconds();
}

function between(name: string, value: Duration, least: Duration, most?: Duration): Duration {
  const seconds = value.toSeconds({ integral: false });
  if (seconds >= least.toSeconds() && (most === undefined || seconds <= most.toSeconds())) return value;
  const range =
    most === undefined ? `${least.toHumanString()} or more` : `${least.toHumanString()} to ${most.toHumanString()}`;
  throw new RangeError(`${name} must be ${range}, not ${value.toHumanString()}`);
}

function wholeMinutes(name: string, value: Duration, least: Duration, most: Duration): Duration {
  const minutes = between(name, value, least, most).toMinutes({ integral: false });
  if (Number.isInteger(minutes)) return Duration.minutes(minutes);
  throw new RangeError(`${name} must be whole minutes, not ${value.toHumanString()}`);
}

function wholeDays(name: string, value: Duration): number {
  const days = value.toDays({ integral: false });
  if (Number.isInteger(days) && days >= 1) return days;
  throw new RangeError(`${name} must be whole days, 1 or more, not ${value.toHumanString()}`);
}

function show(text: string): string {
  return JSON.stringify(text);
}
