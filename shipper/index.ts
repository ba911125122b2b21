/**
 * `seawall`: keeps the databases of an app backed up while it runs.
 *
 * @module seawall
 */
import '../replica/runtime/require-node.ts';

export { Shipper, type ShipperEvents } from './shipper.ts';
export { Fleet, type FleetEvents, type FleetOptions } from './fleet.ts';
export type { FolderOptions } from './folder-watch.ts';
export type { Health, HealthReason } from './health.ts';
export type { StopOnSignalsOptions } from './stop-on-signals.ts';
export type { ShipperOptions } from './options.ts';
export type { PlainError, ShipperEvent, ShipperState, ShipperStatus, Synced } from './protocol.ts';
export type { BeginCause, Blocker, LossCause, NewGenerationReason } from './reasons.ts';
export { SeawallError, type ErrorFacts, type ErrorKind } from '../replica/terms/errors.ts';
