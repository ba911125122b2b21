/** What the control socket and the metrics need of a shipper. */
import type { Health, ShipperStatus, Synced } from '../../shipper/index.ts';

export interface ShippedDatabase {
  readonly database: string;
  sync(): Promise<Synced>;
  durable(): Promise<Synced>;
  snapshot(): Promise<string>;
  status(): Promise<ShipperStatus>;
  health(options?: { readonly maxLag?: string | number }): Promise<Health>;
}
