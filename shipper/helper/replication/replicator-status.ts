/** What `status()` says of a replicator, composed of what its parts know. */
import type { ShipperStatus } from '../../protocol.ts';
import type { Staging } from '../capture/staging.ts';
import type { Continuity } from './continuity.ts';
import type { FollowedDatabase } from './followed-database.ts';
import type { Health } from './health.ts';
import type { ReplicatorContext } from './replicator-context.ts';
import type { Shipped } from './shipped.ts';

export function replicatorStatus(
  { settings, clock }: Pick<ReplicatorContext, 'settings' | 'clock'>,
  parts: {
    readonly health: Health;
    readonly database: FollowedDatabase;
    readonly staging: Staging;
    readonly continuity: Continuity;
    readonly shipped: Shipped;
  },
): ShipperStatus {
  const { health, staging, continuity, shipped } = parts;
  const { problem } = health;
  const { follower } = parts.database;
  const blockedBy = follower?.blockedBy ?? health.blockedBy;
  const behind = follower === undefined || staging.length > 0 || follower.hasNews();
  const lag = shipped.lag(behind, clock.steady());
  return {
    state: health.state,
    database: settings.database,
    replica: settings.replica,
    ...shipped.facts(),
    behind,
    ...(lag !== undefined && { lag }),
    staged: staging.bytes,
    ...(continuity.cause !== undefined && { lost: continuity.cause }),
    ...(blockedBy !== undefined && { blockedBy }),
    ...(problem !== undefined && { problem, problemSince: health.problemSince! }),
    memory: process.memoryUsage.rss(),
    pid: process.pid,
  };
}
