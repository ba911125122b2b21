/** What the app's handle and the helper process say to each other. Plain JSON values only. */
import type { ErrorFacts, ErrorKind } from '../replica/terms/errors.ts';
import type { Settings } from './options.ts';
import type { BeginCause, Blocker, LossCause, NewGenerationReason } from './reasons.ts';

export type ShipperState =
  | 'starting'
  /** A new generation's snapshot is being made. */
  | 'snapshotting'
  | 'streaming'
  /** The store does not take uploads; tried again and again. */
  | 'retrying'
  /** There is no database to follow: it is missing, locked, not in WAL mode, or its disk fails. Tried again and again. */
  | 'waiting'
  /** The helper process ended unasked; a new one is being started. */
  | 'restarting'
  /** Another shipper took the replica over; nothing is shipped any more. */
  | 'fenced'
  /** The database cannot be followed; nothing is shipped. */
  | 'failed'
  | 'stopped';

export interface ShipperStatus {
  readonly state: ShipperState;
  readonly database: string;
  readonly replica: string;
  readonly generation?: string;
  /** Why the generation was started, when this shipper started it. */
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
  /** Bytes of captured segments that wait for the store. */
  readonly staged: number;
  /** How continuity was lost, while the difference is not shipped yet. */
  readonly lost?: LossCause;
  /** What keeps the WAL from being ended. */
  readonly blockedBy?: Blocker;
  readonly problem?: PlainError;
  /** What was uploaded since the helper process started. */
  readonly segments: number;
  readonly snapshots: number;
  readonly bytes: number;
  /** Resident memory of the helper, bytes; like `pid`, absent while there is none. */
  readonly memory?: number;
  readonly pid?: number;
}

export interface PlainError {
  readonly kind: ErrorKind | 'usage' | 'unknown';
  readonly code: string;
  readonly message: string;
  readonly facts?: ErrorFacts;
}

export type ShipperEvent =
  | { readonly type: 'state'; readonly state: ShipperState; readonly before: ShipperState }
  | {
      readonly type: 'restored';
      readonly position: string;
      readonly checksum: string;
      readonly pages: number;
      readonly bytes: number;
    }
  | {
      readonly type: 'generation';
      readonly generation: string;
      /** What happened. */
      readonly cause: BeginCause;
      /** Why the generation that was there could not be continued. */
      readonly reason: NewGenerationReason;
      readonly pages: number;
      readonly milliseconds: number;
    }
  | {
      readonly type: 'resumed';
      readonly generation: string;
      readonly cause: BeginCause;
      /** `unchanged`: the database was as the replica knew it. `difference`: pages that differed were shipped. */
      readonly way: 'unchanged' | 'difference';
      /** Pages that differed, and bytes uploaded for them. */
      readonly pages: number;
      readonly bytes: number;
      readonly milliseconds: number;
    }
  | {
      readonly type: 'segment';
      readonly key: string;
      readonly position: string;
      readonly bytes: number;
      readonly frames: number;
    }
  | { readonly type: 'snapshot'; readonly key: string; readonly bytes: number }
  | { readonly type: 'progress'; readonly what: 'snapshot' | 'restore'; readonly done: number; readonly total?: number }
  | { readonly type: 'problem'; readonly error: PlainError; readonly failures: number }
  /** Frames were lost or dropped that the replica does not have: the difference will be shipped. */
  | { readonly type: 'lost'; readonly cause: LossCause; readonly message: string }
  | { readonly type: 'recovered'; readonly failures: number }
  | { readonly type: 'blocked'; readonly by: Blocker }
  /** The helper process ended unasked: `how`, such as 'ended with SIGKILL', and when the next one is started. */
  | {
      readonly type: 'helper';
      readonly change: 'ended';
      readonly how: string;
      readonly attempt: number;
      /** Milliseconds. */
      readonly delay: number;
    }
  /** A new helper process took over from the one that ended. */
  | {
      readonly type: 'helper';
      readonly change: 'restarted';
      readonly how: string;
      readonly attempt: number;
      readonly pid: number;
    };

export type Request =
  | {
      readonly ask: 'start';
      readonly settings: Settings;
      /** Who writes the replica, the same in every helper that this start of the shipper leads to. */
      readonly owner: string;
      /**
       * A former helper of the same start has ended. The replica must still be this owner's, and the answer comes as
       * soon as the database is held; how the store is, events tell.
       */
      readonly isRestart: boolean;
    }
  | { readonly ask: 'sync' }
  | { readonly ask: 'snapshot' }
  | { readonly ask: 'status' }
  | { readonly ask: 'stop' };

/** `shipment`: which of the helper's databases is meant. */
export type ToHelper = Request & { readonly id: number; readonly shipment: number };

export type FromHelper =
  | { readonly tell: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly tell: 'failure'; readonly id: number; readonly error: PlainError }
  | { readonly tell: 'event'; readonly shipment: number; readonly event: ShipperEvent };

/** What `sync()` answers. */
export interface Synced {
  /** Everything committed before the call lies at or before this position, and is in the bucket. */
  readonly position: string;
  readonly checksum: string;
}
