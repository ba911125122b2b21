/** What a run of the rack did, counted. */
export interface Figures {
  campaigns: number;
  rounds: number;
  kills: Record<'app' | 'helper' | 'writer' | 'keeper', number>;
  /** Kills at named points, by name. */
  points: Record<string, number>;
  restores: number;
  /** Bytes of restored databases. */
  bytes: number;
  commits: number;
  /** Promises of sync() and start(). */
  promises: number;
  /** New generations, by reason. */
  generations: Record<string, number>;
  /** Ways in which generations were gone on with. */
  resumed: Record<string, number>;
  compactions: number;
  deleted: number;
  takeovers: number;
}

export function newFigures(): Figures {
  return {
    campaigns: 0,
    rounds: 0,
    kills: { app: 0, helper: 0, writer: 0, keeper: 0 },
    points: {},
    restores: 0,
    bytes: 0,
    commits: 0,
    promises: 0,
    generations: {},
    resumed: {},
    compactions: 0,
    deleted: 0,
    takeovers: 0,
  };
}

export function killsOf({ kills }: Figures): number {
  return kills.app + kills.helper + kills.writer + kills.keeper;
}

export function count(record: Record<string, number>, name: string): void {
  record[name] = (record[name] ?? 0) + 1;
}
