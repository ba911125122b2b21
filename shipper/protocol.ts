/** The messages between the app's handle and the helper process: plain JSON values only. */
import type { ErrorFacts, ErrorKind } from '../replica/terms/errors.ts';
import type { Settings } from './options.ts';
import type { BeginCause, Blocker, LossCause, NewGenerationReason } from './reasons.ts';

/** What a shipper is doing. */
export type ShipperState =
  | 'starting'
  /** A new generation's snapshot is being made. */
  | 'snapshotting'
  | 'streaming'
  /** The store does not take uploads. The helper keeps trying. */
  | 'retrying'
  /**
   * The database cannot be followed now: it is missing, locked, not in WAL mode, or its disk fails. The helper keeps
   * trying.
   */
  | 'waiting'
  /** The helper process ended unexpectedly; a new one is being started. */
  | 'restarting'
  /** Another shipper took the replica over. Nothing more is shipped. */
  | 'fenced'
  /** The shipper gave up, and `problem` says why. Nothing more is shipped. */
  | 'failed'
  | 'stopped';

/** The status of a shipper at one moment. */
export interface ShipperStatus {
  /** What it is doing. */
  readonly state: ShipperState;
  /** The database's path, absolute. */
  readonly database: string;
  /** The replica, as given in the options. */
  readonly replica: string;
  /** The generation that is written, sixteen hex digits. */
  readonly generation?: string;
  /** Why the generation was started; absent if this shipper continued it. */
  readonly reason?: NewGenerationReason;
  /** The end of what is in the bucket. */
  readonly position?: string;
  /** The database checksum there, sixteen hex digits. */
  readonly checksum?: string;
  /** When the last commit in the bucket was captured, milliseconds since 1970. */
  readonly committed?: number;
  /** When an upload last succeeded, milliseconds since 1970. */
  readonly uploaded?: number;
  /** Commits are waiting to be uploaded. */
  readonly behind: boolean;
  /**
   * Everything committed so many milliseconds ago is in the replica; 0 if nothing waits. Absent while nothing is known
   * to be in it.
   */
  readonly lag?: number;
  /** Bytes of captured segments that wait for the store. */
  readonly staged: number;
  /** How continuity was lost; absent once the difference is shipped. */
  readonly lost?: LossCause;
  /** What keeps the WAL from being ended. */
  readonly blockedBy?: Blocker;
  /** What went wrong last; absent if all is well. */
  readonly problem?: PlainError;
  /** When the present problem began, milliseconds since 1970. */
  readonly problemSince?: number;
  /** Segments uploaded since the helper process started. */
  readonly segments: number;
  /** Snapshots uploaded since then. */
  readonly snapshots: number;
  /** Bytes uploaded since then. */
  readonly bytes: number;
  /** Resident memory of the helper in bytes. Like `pid`, absent while there is no helper. */
  readonly memory?: number;
  /** Process id of the helper. */
  readonly pid?: number;
}

/** An error as plain data, so that it can cross from the helper process. */
export interface PlainError {
  /** A {@link SeawallError}'s kind; `usage` for a TypeError or RangeError, `unknown` for any other error. */
  readonly kind: ErrorKind | 'usage' | 'unknown';
  /** Stable code, such as `ALREADY_SHIPPED`. */
  readonly code: string;
  /** What went wrong, for people. */
  readonly message: string;
  /** Key, position and the like, for programs. */
  readonly facts?: ErrorFacts;
}

/** An event of a shipper. `type` says what happened. */
export type ShipperEvent =
  | {
      readonly type: 'state';
      /** The new state. */
      readonly state: ShipperState;
      /** The one before. */
      readonly before: ShipperState;
    }
  /** A missing database was restored before shipping began. */
  | {
      readonly type: 'restored';
      /** Which state it is. */
      readonly position: string;
      /** Its database checksum, sixteen hex digits. */
      readonly checksum: string;
      /** Pages of the database. */
      readonly pages: number;
      /** Size of the file. */
      readonly bytes: number;
    }
  /** A new generation was begun: its snapshot is in the bucket. */
  | {
      readonly type: 'generation';
      /** The new generation, sixteen hex digits. */
      readonly generation: string;
      /** What made the shipper begin. */
      readonly cause: BeginCause;
      /** Why the generation that was there could not be continued. */
      readonly reason: NewGenerationReason;
      /** Pages of the database. */
      readonly pages: number;
      /** How long it took. */
      readonly milliseconds: number;
    }
  /** The generation in the bucket is continued. */
  | {
      readonly type: 'resumed';
      /** The generation, sixteen hex digits. */
      readonly generation: string;
      /** What made the shipper begin. */
      readonly cause: BeginCause;
      /** `unchanged`: the database was as the replica knew it. `difference`: pages that differed were shipped. */
      readonly way: 'unchanged' | 'difference';
      /** Pages that differed. */
      readonly pages: number;
      /** Bytes uploaded for them. */
      readonly bytes: number;
      /** How long it took. */
      readonly milliseconds: number;
    }
  /** A segment of WAL was uploaded. */
  | {
      readonly type: 'segment';
      /** Its key, relative to the replica. */
      readonly key: string;
      /** The end of what is in the bucket with it. */
      readonly position: string;
      /** Bytes stored. */
      readonly bytes: number;
      /** Frames in it. */
      readonly frames: number;
    }
  /** A snapshot was uploaded. */
  | {
      readonly type: 'snapshot';
      /** Its key, relative to the replica. */
      readonly key: string;
      /** Bytes stored. */
      readonly bytes: number;
    }
  | {
      readonly type: 'progress';
      /** What is at work. */
      readonly what: 'snapshot' | 'restore';
      /** Bytes of the database done so far. */
      readonly done: number;
      /** Bytes in all; absent while unknown. */
      readonly total?: number;
    }
  /** Something failed and is tried again. */
  | {
      readonly type: 'problem';
      /** What went wrong. */
      readonly error: PlainError;
      /** Failures in a row, this one included. */
      readonly failures: number;
    }
  /** The WAL no longer continues what was captured. The shipper will ship the difference instead. */
  | {
      readonly type: 'lost';
      /** How continuity was lost. */
      readonly cause: LossCause;
      /** The same for people. */
      readonly message: string;
    }
  /** What failed before has now succeeded. */
  | {
      readonly type: 'recovered';
      /** Failures in a row before. */
      readonly failures: number;
    }
  /** The WAL cannot be ended; it grows meanwhile. */
  | {
      readonly type: 'blocked';
      /** By what, as in {@link ShipperStatus.blockedBy}. */
      readonly by: Blocker;
    }
  /** The helper process ended unexpectedly; the next one is being started. */
  | {
      readonly type: 'helper';
      readonly change: 'ended';
      /** Such as `ended with SIGKILL`. */
      readonly how: string;
      /** Helpers that ended in a row, this one included. */
      readonly attempt: number;
      /** Milliseconds until the next one is started. */
      readonly delay: number;
    }
  /** A new helper process took over from the one that ended. */
  | {
      readonly type: 'helper';
      readonly change: 'restarted';
      /** How the previous helper ended. */
      readonly how: string;
      /** Helpers that ended in a row before. */
      readonly attempt: number;
      /** Process id of the new one. */
      readonly pid: number;
    };

export type Request =
  | {
      readonly ask: 'start';
      readonly settings: Settings;
      /** Identifies the writer of the replica. Every helper of one start of the shipper has the same. */
      readonly owner: string;
      /**
       * An earlier helper of the same start has ended. The replica must still be this owner's. The answer comes as soon
       * as the database is open; events tell how the store is.
       */
      readonly isRestart: boolean;
    }
  | { readonly ask: 'sync' }
  | { readonly ask: 'durable' }
  | { readonly ask: 'snapshot' }
  | { readonly ask: 'status' }
  | { readonly ask: 'stop' };

/** `shipment` is the number of the database that is meant. */
export type ToHelper = Request & { readonly id: number; readonly shipment: number };

export type FromHelper =
  | { readonly tell: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly tell: 'failure'; readonly id: number; readonly error: PlainError }
  | { readonly tell: 'event'; readonly shipment: number; readonly event: ShipperEvent };

/** What `sync()` and `durable()` answer. */
export interface Synced {
  /** Everything committed before the call lies at or before this position, and is in the bucket. */
  readonly position: string;
  /** The database checksum there, sixteen hex digits. */
  readonly checksum: string;
}
