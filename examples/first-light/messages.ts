/** What the app process and the one that watches it say to each other. */
import type { ShipperEvent } from 'seawall';
import type { Totals } from './journal.ts';

/** What `sync()` promised: everything counted here is in the bucket. */
export interface Acknowledgement {
  readonly position: string;
  readonly checksum: string;
  readonly totals: Totals;
  /** A moment at which this was all there was, milliseconds since 1970. */
  readonly moment: number;
}

export type FromApp =
  | { readonly tell: 'shipping'; readonly helper: number; readonly totals: Totals }
  | { readonly tell: 'committed'; readonly totals: Totals }
  | { readonly tell: 'acknowledged'; readonly acknowledgement: Acknowledgement }
  | { readonly tell: 'event'; readonly event: ShipperEvent }
  /** A transaction is open and will stay so; these are the totals committed before it. */
  | { readonly tell: 'open'; readonly totals: Totals };

export interface ToApp {
  readonly ask: 'leave-open';
}
