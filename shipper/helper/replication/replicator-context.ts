/** What a replicator is given: its settings, its database, and what it shares with the others of the process. */
import type { Store } from '../../../replica/store/store.ts';
import type { Clock } from '../../clock.ts';
import type { Settings } from '../../options.ts';
import type { ShipperEvent } from '../../protocol.ts';
import type { LiveDatabase } from '../database/live-database.ts';
import type { FairSemaphore } from '../sharing/fair-semaphore.ts';
import type { PollSchedule } from '../sharing/poll-schedule.ts';
import type { Owner } from '../upload/claim.ts';

export interface ReplicatorContext {
  readonly settings: Settings;
  readonly store: Store;
  /** Turns for reading the database as a whole. */
  readonly wholeReads: FairSemaphore;
  readonly schedule: PollSchedule;
  /** The replicator owns it and closes it. */
  readonly live: LiveDatabase;
  readonly owner: Owner;
  /** The replica was this owner's before. It is never taken back from another shipper. */
  readonly isRestart: boolean;
  readonly clock: Clock;
  readonly emit: (event: ShipperEvent) => void;
}
