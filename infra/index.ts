/**
 * `seawall/infra`: backups of SQLite databases for AWS CDK apps.
 *
 * @module seawall/infra
 */
import '../replica/runtime/require-node.ts';

export type {
  AlarmProps,
  ColdStorageProps,
  CompactionProps,
  DrillProps,
  FunctionName,
  FunctionProps,
  ObjectLockProps,
  QueuedFunctionProps,
  ReplicationProps,
  RestoreProps,
  RetentionProps,
  SqliteBackupProps,
  SweepProps,
} from './props.ts';
export type { SqliteBackupAlarms } from './alarms.ts';
export { SqliteBackup } from './sqlite-backup.ts';
export { SqliteBackupStack, type SqliteBackupStackProps } from './stack.ts';
