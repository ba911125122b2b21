/**
 * The closed words of continuity: why the WAL could not be followed any further, what made the shipper begin, and why
 * it began a new generation. Each word has its words for people here, so that every report says the same.
 */

/** Why continuity with the live WAL was lost. The shipper regains it by itself; what the user does is said for each. */
export type LossCause =
  /** The path leads to another file, or to none. Nothing to do if a restore or a deploy did it. */
  | 'database-replaced'
  /** `-wal` or `-shm` was removed or replaced under open connections. Find out who does that, and close the database. */
  | 'wal-files-removed'
  /** The WAL file read is not the one that SQLite uses. Find out who deletes or replaces `-wal` under open connections. */
  | 'wal-replaced'
  /** The WAL was restarted before all of it was captured. Nothing to do if it is rare. */
  | 'wal-reset'
  /** The WAL file is shorter than its committed frames. Find out who truncates it, and check the disk. */
  | 'wal-cut-short'
  /** Frames of the WAL do not have the checksums that were committed. Check the disk, and who writes to `-wal`. */
  | 'wal-chain-broken'
  /** Captured segments reached `stagingLimit`, or filled their disk. Check the store; raise the limit if it is too low. */
  | 'staging-full'
  /** Captured segments could not be written or read again. Check the disk of the state folder. */
  | 'staging-lost'
  /** A snapshot's pages are not what the WAL made them. Find out who writes to the database file without SQLite. */
  | 'checksum-mismatch'
  /** The database file changed, and no checkpoint did it. Find out who writes to it without SQLite. */
  | 'database-changed'
  /** Objects of the replica are gone, or older than they were. Find out who deletes them or rolls the bucket back. */
  | 'replica-lost'
  /** The claim in the bucket cannot be read. Find out who writes to the replica. */
  | 'claim-damaged'
  /** A former shipper wrote the object that this one writes next. Stop it unless it has ended. */
  | 'contested';

/** What made the shipper resume a generation or begin one. */
export type BeginCause =
  /** The app started it. Nothing to do. */
  | 'start'
  /** A new helper process took over from one that ended. Look at the event `helper` for how it ended. */
  | 'helper-ended'
  | LossCause;

/** Why the generation in the bucket could not be continued, so that a new one began with a snapshot. */
export type NewGenerationReason =
  /** The replica has no snapshot. Nothing to do if it is new; else find out who emptied it. */
  | 'new-replica'
  /** The claim names a generation whose snapshot was never uploaded: its start was interrupted. Nothing to do. */
  | 'generation-without-snapshot'
  /** The page size is not the replica's, after a VACUUM, say. Nothing to do. */
  | 'page-size-changed'
  /** The claim in the bucket cannot be read. Find out who writes to the replica. */
  | 'claim-damaged'
  /** More than half of the pages differ, or no page is left in common. Check that it is the same database. */
  | 'mostly-different'
  /** The replica ends inside a transaction, and more than half of the pages differ. Nothing to do. */
  | 'unfinished-transaction'
  /** Another program wrote the newest generation. Run `seawall adopt` first if it is to be continued. */
  | 'foreign-replica'
  /** Objects at the end of the replica are damaged or missing. Run `seawall verify` for what can still be restored. */
  | 'replica-damaged'
  /** The option `codec` changed, and a generation keeps its codec. Nothing to do. */
  | 'codec-changed';

/** What keeps the WAL from being ended. */
export type Blocker =
  /** A connection of the app is inside a write transaction. Keep transactions short. */
  | 'writer'
  /** A connection of the app is inside an old read transaction. End it: an unfinished statement counts. */
  | 'reader'
  /** A connection of the app checkpoints. Nothing to do. */
  | 'checkpoint'
  /** The disk of the database is full or failing. Make room. */
  | 'disk';

export const LOSS_WORDS = {
  'database-replaced': 'the database file was replaced',
  'wal-files-removed': 'the WAL or its index was removed or replaced',
  'wal-replaced': 'the WAL file was replaced',
  'wal-reset': 'the WAL was restarted before all of it was captured',
  'wal-cut-short': 'the WAL file ended before its committed frames',
  'wal-chain-broken': 'the WAL did not hold the frames that were committed',
  'staging-full': 'the store was away for so long that staging, or its disk, was full',
  'staging-lost': 'captured segments could not be kept on disk',
  'checksum-mismatch': 'the database was not what the WAL said',
  'database-changed': 'the database file was changed without SQLite',
  'replica-lost': 'the replica, or a part of it, is gone from the bucket',
  'claim-damaged': 'the claim in the bucket is damaged',
  contested: 'another shipper wrote to the replica',
} as const satisfies Readonly<Record<LossCause, string>>;

export const REASON_WORDS = {
  'new-replica': 'the replica was empty',
  'generation-without-snapshot': 'the generation before has no snapshot',
  'page-size-changed': 'the page size changed',
  'claim-damaged': 'the claim in the bucket is damaged',
  'mostly-different': 'most pages differ from the replica',
  'unfinished-transaction': 'the replica ends inside a transaction',
  'foreign-replica': 'another program wrote the replica',
  'replica-damaged': 'the replica is damaged',
  'codec-changed': 'the codec was changed',
} as const satisfies Readonly<Record<NewGenerationReason, string>>;

/** Snapshots that begin no generation have a reason, too. */
const SNAPSHOT_WORDS = {
  ...REASON_WORDS,
  request: 'the app asked for it',
  compaction: 'made by a compaction',
} as const satisfies Readonly<Record<NewGenerationReason | 'request' | 'compaction', string>>;

export const BLOCKER_WORDS = {
  reader: 'a reader of the app',
  writer: 'a writer of the app',
  checkpoint: 'a checkpoint of the app',
  disk: 'a full or failing disk',
} as const satisfies Readonly<Record<Blocker, string>>;

/**
 * Words for the reason in a snapshot's header. A reason that this release does not know (a newer release wrote it, or
 * another program) is given as it is, with an escape for each character that is not printable ASCII.
 */
export function snapshotReasonWords(reason: string): string {
  if (Object.hasOwn(SNAPSHOT_WORDS, reason)) return SNAPSHOT_WORDS[reason as keyof typeof SNAPSHOT_WORDS];
  return reason.replace(/[^ -~]/g, (each) => `\\x${each.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
