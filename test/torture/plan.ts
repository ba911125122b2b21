/**
 * The plan of a campaign, made from its seed alone: what the database is, who writes, what fails, who is killed and
 * when. Only the timing of processes is left to the machine.
 */
import { Seeded } from '../history/seeded.ts';
import type { CompactionPolicy } from '../../replica/compaction/compact.ts';
import type { RetentionPolicy } from '../../replica/retention/policy.ts';
import type { ShipperOptions } from '../../shipper/index.ts';
import type { DatabaseKind } from './content.ts';
import { pointsOf, type KillPoint } from './kill-points.ts';
import type { Manner } from './steps.ts';

export type Library = 'better-sqlite3' | 'node:sqlite' | 'python';

export type Victim = 'helper' | 'app' | 'both';

/** When somebody is killed. */
export type Moment =
  /** So many milliseconds after the shipper stands, or after its process was made. */
  { readonly after: number; readonly since: 'ready' | 'spawned' } | { readonly point: KillPoint; readonly nth: number };

export interface Kill {
  readonly victim: Victim;
  readonly moment: Moment;
}

export interface WriterPlan {
  readonly manner: Manner;
  readonly library: Library;
  readonly seed: number;
  /** Milliseconds after which it is killed; undefined: it lives as long as the round. */
  readonly killedAfter: number | undefined;
}

/** One run of the app, from its start to its end or death. */
export interface LifePlan {
  readonly library: 'better-sqlite3' | 'node:sqlite';
  readonly manner: Manner;
  readonly seed: number;
  /** Milliseconds of life once the shipper stands. */
  readonly duration: number;
  readonly syncEvery: number;
  readonly snapshotAfter: number | null;
  readonly kills: readonly Kill[];
  /** The helper is killed again and again, at the latest so many milliseconds after it was made. */
  readonly helperKilledEvery: number | undefined;
  /** Whether the helper that an app leaves behind is killed, too, and when. */
  readonly orphanKilledAfter: number | undefined;
}

export interface StoreTrouble {
  /** Chances for each request of the app’s helper and of the keepers. */
  readonly refused: number;
  readonly reset: number;
  readonly lostAck: number;
  readonly cut: number;
  readonly conflict: number;
  readonly slow: number;
  /** Milliseconds. */
  readonly latency: number;
  /** Outages of the whole store: when they begin in the round, and how long they are, milliseconds. */
  readonly outages: readonly { readonly after: number; readonly lasts: number }[];
}

export interface KeeperPlan {
  readonly seed: number;
  readonly sweepEvery: number;
  readonly memory: number;
}

/** How everything comes to its end before the checks. */
export type RoundEnd =
  /** The app stops in peace: what is restored must be the database, byte for byte. */
  | 'stop'
  /** The app is killed, and its helper ships what there is and ends by itself. */
  | 'orphan'
  /** Everything is killed. */
  | 'kill';

/** What happens to the machine before the next round. */
export type Aftermath = 'nothing' | 'machine-lost' | 'state-lost' | 'changed-offline' | 'taken-over';

export interface RoundPlan {
  readonly lives: readonly LifePlan[];
  readonly writers: readonly WriterPlan[];
  readonly keepers: readonly KeeperPlan[];
  readonly trouble: StoreTrouble;
  readonly probeEvery: number;
  readonly end: RoundEnd;
  readonly aftermath: Aftermath;
  readonly seed: number;
}

export interface CampaignPlan {
  readonly seed: number;
  readonly database: DatabaseKind;
  readonly shipper: Omit<ShipperOptions, 'database' | 'replica'>;
  readonly compaction: CompactionPolicy;
  readonly retention: RetentionPolicy;
  readonly rounds: readonly RoundPlan[];
}

const KIB = 1024;

export function planCampaign(seed: number, libraries: readonly Library[]): CampaignPlan {
  const random = new Seeded(seed);
  const rounds = random.range(3, 6);
  const sealAt = random.pick([64, 256, 1024, 4096]) * KIB;
  return {
    seed,
    database: {
      pageSize: random.weighted([
        [3, 4096],
        [1, 512],
        [1, 1024],
        [1, 8192],
        [1, 16384],
        [1, 65536],
      ] as const),
      autoVacuum: random.pick(['none', 'full', 'incremental']),
      longest: random.weighted([
        [5, 3000],
        [3, 20_000],
        [1, 150_000],
      ] as const),
    },
    shipper: {
      restore: 'if-missing',
      syncInterval: random.pick([20, 50, 200]),
      checkpointAt: Math.min(sealAt, random.pick([64, 256, 1024]) * KIB),
      sealAt,
      sealInterval: random.pick([300, 1500, 60_000]),
      shrinkAt: random.pick([1 << 20, 500 << 20]),
      segmentSize: random.pick([64, 64, 256, 4096]) * KIB,
      stagingLimit: random.pick([0, 256 * KIB, 1 << 30]),
      heartbeat: random.pick([0, 100, 1000]),
      retryMax: random.pick([50, 300]),
      stopTimeout: 30_000,
      codec: random.weighted([
        [3, 'lz4'],
        [1, 'zstd'],
      ] as const),
    },
    compaction: { ratio: random.pick([0, 0, 0.2, 1]), maxAge: random.pick([500, 5000, 3_600_000]) },
    retention: {
      window: random.range(1000, 15_000),
      daily: 0,
      weekly: 0,
      monthly: 0,
      grace: random.range(4000, 9000),
    },
    rounds: Array.from({ length: rounds }, (_, i) => planRound(random, libraries, i === rounds - 1)),
  };
}

function planRound(random: Seeded, libraries: readonly Library[], last: boolean): RoundPlan {
  return {
    lives: Array.from({ length: random.range(1, 3) }, () => planLife(random)),
    writers: Array.from({ length: random.range(0, 2) }, () => ({
      manner: random.pick<Manner>(['steady', 'hostile', 'hostile', 'reader']),
      library: random.pick(libraries),
      seed: random.int(2 ** 31),
      killedAfter: random.chance(0.3) ? random.range(1000, 8000) : undefined,
    })),
    keepers: Array.from({ length: random.weighted([[1, 0], [4, 1], [1, 2]] as const) }, () => ({
      seed: random.int(2 ** 31),
      sweepEvery: random.range(200, 1500),
      memory: random.pick([1 << 16, 1 << 20, 64 << 20]),
    })), // prettier-ignore
    trouble: random.chance(0.35) ? FAIR : planTrouble(random),
    probeEvery: random.range(200, 1200),
    end: last ? 'stop' : random.pick(['stop', 'orphan', 'kill', 'kill']),
    aftermath: last
      ? 'nothing'
      : random.weighted([
          [3, 'nothing'],
          [2, 'machine-lost'],
          [1, 'state-lost'],
          [2, 'changed-offline'],
          [1, 'taken-over'],
        ] as const),
    seed: random.int(2 ** 31),
  };
}

const APP_POINTS = pointsOf('app');

function planLife(random: Seeded): LifePlan {
  const kills = Array.from({ length: random.range(1, 4) }, (): Kill => ({
    victim: random.weighted([
      [6, 'helper'],
      [1, 'app'],
      [2, 'both'],
    ] as const),
    moment: random.chance(0.55)
      ? { point: random.pick(APP_POINTS), nth: random.weighted([[4, 1], [3, random.range(2, 5)], [1, random.range(5, 30)]] as const) } // prettier-ignore
      : { after: random.int(1800), since: random.chance(0.8) ? 'ready' : 'spawned' },
  }));
  return {
    library: random.pick(['better-sqlite3', 'node:sqlite']),
    manner: random.pick<Manner>(['steady', 'hostile', 'reader']),
    seed: random.int(2 ** 31),
    duration: random.range(1000, 4500),
    syncEvery: random.pick([5, 30, 150, 600]),
    snapshotAfter: random.chance(0.15) ? random.int(1000) : null,
    kills,
    helperKilledEvery: random.chance(0.4) ? random.range(100, 2500) : undefined,
    orphanKilledAfter: random.chance(0.5) ? random.int(500) : undefined,
  };
}

const FAIR: StoreTrouble = { refused: 0, reset: 0, lostAck: 0, cut: 0, conflict: 0, slow: 0, latency: 0, outages: [] };

function planTrouble(random: Seeded): StoreTrouble {
  const some = (most: number): number => (random.chance(0.5) ? 0 : random.next() * most);
  return {
    refused: some(0.15),
    reset: some(0.1),
    lostAck: some(0.15),
    cut: some(0.1),
    conflict: some(0.1),
    slow: some(0.5),
    latency: random.range(5, 400),
    outages: random.chance(0.3) ? [{ after: random.int(3000), lasts: random.range(200, 2500) }] : [],
  };
}
