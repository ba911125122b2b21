/** Options of the constructs and their defaults. */
import type { Duration, RemovalPolicy } from 'aws-cdk-lib';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { Code } from 'aws-cdk-lib/aws-lambda';
import type { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { IBucket, StorageClass } from 'aws-cdk-lib/aws-s3';
import type { ITopic } from 'aws-cdk-lib/aws-sns';

/** The functions of a backup. */
export type FunctionName = 'compact' | 'retain' | 'restore' | 'drill';

/** Options of {@link SqliteBackup} and their defaults. */
export interface SqliteBackupProps {
  /**
   * The folder in the bucket below which databases lie: empty, or ending with a slash (`dbs/`).
   *
   * @default '' databases lie at the top of the bucket
   */
  readonly root?: string;

  /**
   * A bucket of your own, instead of a new one. It is not changed: it should be versioned, block public access and
   * abort unfinished uploads. It sends no events by itself, so compaction happens at each sweep. To compact as soon as
   * an index is complete, add
   * `bucket.addEventNotification(EventType.OBJECT_CREATED, new SqsDestination(backup.compactionQueue), { suffix: '_00000000.wal.lz4' })`.
   *
   * @default a bucket is made
   */
  readonly bucket?: IBucket;

  /**
   * Name of the bucket that is made. If given, the compaction queue accepts events of exactly this bucket; otherwise of
   * any bucket in the account.
   *
   * @default CloudFormation generates one
   */
  readonly bucketName?: string;

  /**
   * Key that the bucket is encrypted with. Grants of this construct include it.
   *
   * @default a key that S3 manages
   */
  readonly encryptionKey?: IKey;

  /**
   * Object Lock with a default retention: for that long nobody can remove a version of an object (`compliance`), or
   * only somebody with a special permission (`governance`). It can be switched on only when the bucket is made.
   *
   * @default no Object Lock
   */
  readonly objectLock?: ObjectLockProps;

  /**
   * Where S3 writes the access log of the bucket.
   *
   * @default no access log
   */
  readonly serverAccessLogs?: {
    /** The bucket that the log goes to. */
    readonly bucket: IBucket;
    /**
     * Prefix of the log's keys.
     *
     * @default '' no prefix
     */
    readonly prefix?: string;
  };

  /**
   * How long deleted and replaced objects can still be brought back.
   *
   * @default Duration.days(14)
   */
  readonly noncurrentExpiry?: Duration;

  /**
   * How long the files that the restore function made are kept.
   *
   * @default Duration.days(7)
   */
  readonly restoresExpiry?: Duration;

  /**
   * Moves old, large objects (snapshots, in practice) to a cheaper class from which they can be read at once.
   *
   * @default no object is moved
   */
  readonly coldStorage?: ColdStorageProps;

  /**
   * Copies all objects to another versioned bucket, usually in another region.
   *
   * @default no copy
   */
  readonly replication?: ReplicationProps;

  /**
   * What happens to the bucket when the stack is deleted. DESTROY works for an empty bucket only.
   *
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;

  /** @default see {@link CompactionProps} */
  readonly compaction?: CompactionProps;
  /** @default see {@link RetentionProps} */
  readonly retention?: RetentionProps;
  /** @default see {@link SweepProps} */
  readonly sweep?: SweepProps;
  /** @default see {@link RestoreProps} */
  readonly restore?: RestoreProps;
  /** @default see {@link DrillProps} */
  readonly drill?: DrillProps;
  /** @default see {@link AlarmProps} */
  readonly alarms?: AlarmProps;

  /**
   * How long the functions' logs are kept.
   *
   * @default RetentionDays.THREE_MONTHS
   */
  readonly logRetention?: RetentionDays;

  /**
   * What happens to the logs when the stack is deleted.
   *
   * @default RemovalPolicy.DESTROY
   */
  readonly logRemovalPolicy?: RemovalPolicy;

  /** @default 'INFO' */
  readonly logLevel?: 'DEBUG' | 'INFO' | 'WARN' | 'ERROR';

  /**
   * Whether X-Ray traces the functions.
   *
   * @default true
   */
  readonly tracing?: boolean;

  /**
   * Namespace of the functions' own metrics. Two backups in one account and region need different namespaces; otherwise
   * they share alarms.
   *
   * @default 'Seawall'
   */
  readonly metricsNamespace?: string;

  /**
   * Whether the age of each database is also a metric of its own, with the dimension Database. CloudWatch charges by
   * the metric; the alarm needs none of them.
   *
   * @default true
   */
  readonly metricsPerDatabase?: boolean;

  /** @default true */
  readonly dashboard?: boolean;

  /**
   * Whether the stack prints the bucket, the shipper's configuration and the commands of a restore.
   *
   * @default true
   */
  readonly outputs?: boolean;

  /**
   * Code of your own for the functions, each with `index.handler`.
   *
   * @default the bundles that come with this package
   */
  readonly code?: Partial<Readonly<Record<FunctionName, Code>>>;
}

/** Options of every function. */
export interface FunctionProps {
  /**
   * Megabytes; CPU grows with it, 1769 is one core.
   *
   * @default 1769
   */
  readonly memorySize?: number;

  /**
   * Time for one run. The queue gives a message back six times as long after a crash.
   *
   * @default Duration.minutes(15)
   */
  readonly timeout?: Duration;

  /**
   * Reserves this much of the account's concurrency for the function, which is also the most it can use.
   *
   * @default none is reserved
   */
  readonly reservedConcurrency?: number;
}

/** Options of every function that receives messages from a queue. */
export interface QueuedFunctionProps extends FunctionProps {
  /**
   * Most runs that the queue starts at the same time; 2 or more.
   *
   * @default 10; 2 for drills
   */
  readonly maxConcurrency?: number;

  /**
   * Messages given to one run, 1 to 10.
   *
   * @default 10 for compaction, 1 for sweeps and drills
   */
  readonly batchSize?: number;

  /**
   * Failed runs after which a message goes to the dead-letter queue.
   *
   * @default 5
   */
  readonly maxReceiveCount?: number;
}

/** The function that makes newer snapshots out of older ones and WAL. */
export interface CompactionProps extends QueuedFunctionProps {
  /**
   * A new snapshot is made if the WAL since the last snapshot has at least this share of the snapshot's size.
   *
   * @default 0.5
   */
  readonly ratio?: number;

  /**
   * A new snapshot is made if the last one is older than this and there is WAL after it.
   *
   * @default Duration.days(1)
   */
  readonly maxAge?: Duration;

  /**
   * How long events are gathered before a run.
   *
   * @default Duration.seconds(20)
   */
  readonly batchingWindow?: Duration;
}

/** How long the past of each database is kept. */
export interface RetentionProps {
  /**
   * Every moment within this time can be restored.
   *
   * @default Duration.days(7)
   */
  readonly window?: Duration;
  /**
   * Beyond the window: days whose newest snapshot is kept.
   *
   * @default 14
   */
  readonly daily?: number;
  /**
   * Weeks whose newest snapshot is kept.
   *
   * @default 8
   */
  readonly weekly?: number;
  /**
   * Months whose newest snapshot is kept.
   *
   * @default 12
   */
  readonly monthly?: number;
  /**
   * Nothing that a restore may still be reading is deleted for this time.
   *
   * @default Duration.hours(1)
   */
  readonly grace?: Duration;
}

/** The sweep over all databases, and the function that deletes what retention no longer keeps. */
export interface SweepProps extends QueuedFunctionProps {
  /**
   * How often every database is swept: its age is measured, retention is enforced, missed compaction is made up for.
   *
   * @default Duration.hours(1)
   */
  readonly interval?: Duration;
}

/** The function that restores a database into the bucket, on request. */
export interface RestoreProps extends FunctionProps {
  /**
   * Megabytes of disk, 512 to 10240. Only restores that ask for SQLite's integrity check use it, and must fit.
   *
   * @default 4096
   */
  readonly diskSize?: number;
}

/** The function that restores each database at intervals, to prove that it can be restored. */
export interface DrillProps extends QueuedFunctionProps {
  /**
   * How often every database is restored for proof.
   *
   * @default Duration.days(1)
   */
  readonly interval?: Duration;

  /**
   * Megabytes of disk, 512 to 10240. Databases that fit get SQLite's own integrity check besides the checksum.
   *
   * @default 4096
   */
  readonly diskSize?: number;

  /**
   * Whether drills run.
   *
   * @default true
   */
  readonly enabled?: boolean;
}

/** S3 Object Lock of the bucket. */
export interface ObjectLockProps {
  /** Who can remove a locked version: nobody (`compliance`), or who has a special permission (`governance`). */
  readonly mode: 'governance' | 'compliance';
  /** Whole days. */
  readonly duration: Duration;
}

/** When objects move to a cheaper storage class, and to which. */
export interface ColdStorageProps {
  /** Whole days; the infrequent-access classes take objects after 30. */
  readonly after: Duration;
  /**
   * A class that answers at once: INFREQUENT_ACCESS, ONE_ZONE_INFREQUENT_ACCESS, INTELLIGENT_TIERING or
   * GLACIER_INSTANT_RETRIEVAL.
   *
   * @default StorageClass.INFREQUENT_ACCESS
   */
  readonly storageClass?: StorageClass;
  /**
   * Only objects larger than this are moved, bytes. WAL segments are small and soon gone; snapshots are what is worth
   * moving, and S3 can tell them by their size only.
   *
   * @default 1048576
   */
  readonly largerThan?: number;
}

/** S3's replication of the bucket to another one. */
export interface ReplicationProps {
  /** ARN of a versioned bucket, usually in another region. It needs lifecycle rules of its own. */
  readonly bucketArn: string;
  /**
   * Key that the bucket is encrypted with, if it has one.
   *
   * @default the copy is encrypted by the rules of its bucket
   */
  readonly keyArn?: string;
  /**
   * Storage class of the copy.
   *
   * @default that of the original
   */
  readonly storageClass?: StorageClass;
  /**
   * Whether deletions are copied, too. If not, the copy grows without limit unless its own rules expire objects.
   *
   * @default true
   */
  readonly deletions?: boolean;
}

/** CloudWatch alarms of a backup. */
export interface AlarmProps {
  /**
   * Whether there are alarms.
   *
   * @default true
   */
  readonly enabled?: boolean;
  /**
   * Gets a message when an alarm goes off, and when it is over.
   *
   * @default no message is sent; the console shows the alarm
   */
  readonly topic?: ITopic;
  /**
   * The alarm goes off when a backup is older than this. It must be more than five minutes, because an idle
   * shipper renews its head object only every five minutes. The age is measured at each sweep. Remove a database that
   * is no longer used from the bucket.
   *
   * @default Duration.minutes(15)
   */
  readonly backupAge?: Duration;
}
