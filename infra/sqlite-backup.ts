/** The construct: everything that backups of SQLite databases need in one account and region. */
import { RemovalPolicy } from 'aws-cdk-lib';
import type { Dashboard } from 'aws-cdk-lib/aws-cloudwatch';
import { Grant, type IGrantable, type PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { IBucket } from 'aws-cdk-lib/aws-s3';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { Alarms, type SqliteBackupAlarms } from './alarms.ts';
import { createBucket } from './bucket.ts';
import { Compaction } from './compaction.ts';
import { createDashboard } from './dashboard.ts';
import { Drill } from './drill.ts';
import { notify } from './notification.ts';
import { Databases } from './object-access.ts';
import { printOutputs, replicaUrl } from './outputs.ts';
import type { SqliteBackupProps } from './props.ts';
import { replicate } from './replication.ts';
import { Restore } from './restore.ts';
import { settingsOf } from './settings.ts';
import { Sweep } from './sweep.ts';
import { allowKey, type FunctionContext } from './worker.ts';

/**
 * A bucket, and the functions that keep what shippers put into it small, restorable and proven:
 *
 *     const backup = new SqliteBackup(this, 'Backup');
 *     backup.grantShip(service.taskRole, 'orders');
 *
 * Every prop is optional. Throws a RangeError or TypeError that names the prop if its value cannot work.
 */
export class SqliteBackup extends Construct {
  /** The bucket that holds the replicas: a new one, or the one from the props. */
  readonly bucket: IBucket;
  /** Its dead-letter queue is `compactionQueue.deadLetterQueue`. */
  readonly compactionQueue: IQueue;
  /** Compacts databases, one message of the queue each. */
  readonly compactFunction: IFunction;
  /** Sweeps databases: measures their age, enforces retention, catches up on compaction. */
  readonly retainFunction: IFunction;
  /** Restores a database into the bucket. See {@link SqliteBackup.grantInvokeRestore}. */
  readonly restoreFunction: IFunction;
  /** Restores databases to prove that it works, and keeps only the evidence. */
  readonly drillFunction: IFunction;
  /** Undefined if alarms are switched off. */
  readonly alarms: SqliteBackupAlarms | undefined;
  /** Undefined if the dashboard is switched off. */
  readonly dashboard: Dashboard | undefined;
  readonly #root: string;

  constructor(scope: Construct, id: string, props: SqliteBackupProps = {}) {
    super(scope, id);
    const settings = settingsOf(props);
    const { root } = settings;
    this.#root = root;
    const made = props.bucket === undefined ? createBucket(this, 'Bucket', root, props) : undefined;
    this.bucket = props.bucket ?? (made as IBucket);

    const workplace: FunctionContext = {
      bucket: this.bucket,
      root,
      namespace: settings.namespace,
      metricsPerDatabase: props.metricsPerDatabase ?? true,
      logLevel: props.logLevel ?? 'INFO',
      logRetention: props.logRetention ?? RetentionDays.THREE_MONTHS,
      logRemovalPolicy: props.logRemovalPolicy ?? RemovalPolicy.DESTROY,
      tracing: props.tracing ?? true,
      code: props.code ?? {},
    };
    const compaction = new Compaction(this, 'Compaction', workplace, settings.compaction);
    const sweep = new Sweep(this, 'Sweep', workplace, settings);
    const restore = new Restore(this, 'Restores', workplace, settings.restore);
    const drill = new Drill(this, 'Drills', workplace, settings.drill);
    if (made !== undefined) {
      notify(made, compaction.work.queue, root, props.bucketName);
      if (props.replication !== undefined) replicate(this, 'ReplicationRole', made, props.replication);
    }
    this.compactionQueue = compaction.work.queue;
    this.compactFunction = compaction.worker.function;
    this.retainFunction = sweep.worker.function;
    this.restoreFunction = restore.worker.function;
    this.drillFunction = drill.worker.function;

    const watched = {
      workers: { Compact: compaction.worker, Retain: sweep.worker, Restore: restore.worker, Drill: drill.worker },
      queues: { Compaction: compaction.work, Sweep: sweep.work, Drill: drill.work },
      settings,
    };
    if (props.alarms?.enabled ?? true) {
      this.alarms = new Alarms(this, 'Alarms', { ...watched, topic: props.alarms?.topic });
    }
    if (props.dashboard ?? true) {
      this.dashboard = createDashboard(this, 'Dashboard', { ...watched, alarms: this.alarms });
    }
    if (props.outputs ?? true) printOutputs(this, this.bucket, root, this.restoreFunction);
  }

  /** The `replica` option of a shipper for the database at `database`, below the root. */
  replicaUrl(database: string): string {
    return replicaUrl(this, this.bucket, this.#root, database);
  }

  /**
   * Lets `grantee` ship the database at `database` (below the root), or all of them: create snapshots and WAL, write
   * claim and head, and read. It cannot delete anything, and can replace only claim and head. This is enough for
   * roles of this account; other accounts also need a statement in the bucket's policy.
   */
  grantShip(grantee: IGrantable, database?: string): Grant {
    const databases = new Databases(this.bucket, this.#root, database);
    allowKey(this.bucket.encryptionKey, grantee);
    return grantAll(grantee, [
      databases.list(),
      databases.read(),
      ...databases.create('generations/*'),
      ...databases.claim(),
      databases.put('seawall/head'),
    ]);
  }

  /**
   * Lets `grantee` read the backups of the database at `database` (below the root), or all of them, and nothing else.
   */
  grantRestore(grantee: IGrantable, database?: string): Grant {
    const databases = new Databases(this.bucket, this.#root, database);
    allowKey(this.bucket.encryptionKey, grantee, 'read');
    return grantAll(grantee, [databases.list(), databases.read()]);
  }

  /**
   * Lets `grantee` invoke the restore function, which restores any database. The link in its answer is enough to fetch
   * the file.
   */
  grantInvokeRestore(grantee: IGrantable): Grant {
    return Grant.addToPrincipal({
      grantee,
      actions: ['lambda:InvokeFunction'],
      resourceArns: [this.restoreFunction.functionArn],
    });
  }
}

function grantAll(grantee: IGrantable, statements: readonly PolicyStatement[]): Grant {
  const grants = statements.map(({ actions, resources, conditions }) =>
    Grant.addToPrincipal({
      grantee,
      actions,
      resourceArns: resources,
      conditions: conditions as Record<string, Record<string, unknown>>,
    }),
  );
  return grants.reduce((all, next) => all.combine(next));
}
