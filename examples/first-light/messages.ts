/** Messages between the app process and the process that watches it. */
import type { ShipperEvent } from 'seawall';
import type { Totals } from './journal.ts';

/** What `sync()` promised: everything counted here is in the bucket. */
export interface Acknowledgement {
  readonly position: string;
  readonly checksum: string;
  readonly totals: Totals;
  /** A moment at which exactly this was committed, milliseconds since 1970. */
  readonly moment: number;
}

export type FromApp =
  | { readonly tell: 'shipping'; readonly helper: number; readonly totals: Totals }
  | { readonly tell: 'committed'; readonly totals: Totals }
  | { readonly tell: 'acknowledged'; readonly acknowledgement: Acknowledgement }
  | { readonly tell: 'event'; readonly event: ShipperEvent }
  /** A transaction is open and stays open; these are the totals committed before it. */
  | { readonly tell: 'open'; readonly totals: Totals };

export interface ToApp {
  readonly ask: 'leave-open';
}
