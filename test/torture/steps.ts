/** What a writer process does: a random script of steps, made from a seed before the process starts. */
import type { Seeded } from '../history/seeded.ts';
import { dropSql, STAMPED, tableSql, TABLES, type DatabaseKind } from './content.ts';

/** One line of a script. Writers in every language know these. */
export type Step =
  | { readonly sql: string }
  /** Milliseconds. */
  | { readonly sleep: number }
  /** Closes the connection and opens another. */
  | { readonly reopen: true };

/** How a writer spends its time. */
export type Manner =
  /** Small transactions in a steady flow. */
  | 'steady'
  /** Everything that is hard on a shipper: huge transactions, VACUUM, checkpoints, tables dropped and made. */
  | 'hostile'
  /** Reads, and keeps its read transactions open. */
  | 'reader';

type Work = (random: Seeded, kind: DatabaseKind) => Step[];

export function script(manner: Manner, random: Seeded, kind: DatabaseKind, steps: number): Step[] {
  const made: Step[] = [{ sql: 'PRAGMA busy_timeout = 3000' }];
  while (made.length < steps) {
    const work = random.weighted(WORK[manner]);
    made.push(...work(random, kind));
  }
  return made;
}

/** One transaction that is the next commit. `work` comes after the count, so that a page of each is in it. */
function commit(work: string, random: Seeded): string {
  return `BEGIN IMMEDIATE; ${STAMPED} ${work} ${random.chance(0.08) ? 'ROLLBACK' : 'COMMIT'}`;
}

function insertSql(random: Seeded, rows: number): string {
  const k = random.int(TABLES);
  const source = `(i * 7 + ${random.int(24)}) % 24 + 1`;
  const length = random.chance(0.5) ? 'length(b.body)' : String(random.int(3000));
  return `${tableSql(k)}
    INSERT INTO load_${k} (source, body)
      WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ${rows})
      SELECT b.id, substr(b.body, 1, ${length}) FROM c JOIN ballast b ON b.id = ${source};
    DELETE FROM load_${k} WHERE id <= (SELECT max(id) FROM load_${k}) - ${random.range(50, 400)};`;
}

const insert: Work = (random) => [
  { sql: commit(insertSql(random, random.chance(0.7) ? 1 : random.range(2, 12)), random) },
];

const update: Work = (random) => {
  const k = random.int(TABLES);
  const source = random.range(1, 18);
  const where = `id % ${random.range(5, 60)} = ${random.int(5)}`;
  const work = `${tableSql(k)} UPDATE load_${k} SET source = ${source}, body = (SELECT body FROM ballast WHERE id = ${source}) WHERE ${where};`;
  return [{ sql: commit(work, random) }];
};

const remove: Work = (random) => {
  const k = random.int(TABLES);
  return [{ sql: commit(`${tableSql(k)} DELETE FROM load_${k} WHERE id % ${random.range(2, 9)} = 0;`, random) }];
};

/** Many segments; spills into the WAL before its commit, and stays there when it is rolled back. */
const huge: Work = (random) => [
  { sql: 'PRAGMA cache_size = 20' },
  { sql: commit(insertSql(random, random.range(60, 300)) + insertSql(random, random.range(20, 100)), random) },
  { sql: 'PRAGMA cache_size = -2000' },
];

const nested: Work = (random) => {
  const inner = `SAVEPOINT inner; ${insertSql(random, 5)} ${random.chance(0.6) ? 'ROLLBACK TO inner;' : ''} RELEASE inner;`;
  return [{ sql: commit(`${insertSql(random, 2)} ${inner} ${insertSql(random, 1)}`, random) }];
};

const recreate: Work = (random) => {
  const k = random.int(TABLES);
  return [{ sql: commit(`${dropSql(k)} ${random.chance(0.6) ? tableSql(k) : ''}`, random) }];
};

const index: Work = (random) => {
  const k = random.int(TABLES);
  const on = random.chance(0.5);
  const work = on
    ? `CREATE INDEX IF NOT EXISTS source_${k} ON load_${k} (source);`
    : `DROP INDEX IF EXISTS source_${k};`;
  return [{ sql: commit(`${tableSql(k)} ${work}`, random) }];
};

const vacuum: Work = () => [{ sql: 'VACUUM' }];
const shrink: Work = (random) => [{ sql: `PRAGMA incremental_vacuum(${random.range(1, 60)})` }];
const reopen: Work = () => [{ reopen: true }];
const pause: Work = (random) => [{ sleep: random.int(60) }];
const breath: Work = (random) => [{ sleep: 2 + random.int(6) }];

const checkpoint: Work = (random) => [
  { sql: 'PRAGMA busy_timeout = 300' },
  { sql: `PRAGMA wal_checkpoint(${random.pick(['PASSIVE', 'FULL', 'RESTART', 'TRUNCATE'])})` },
  { sql: 'PRAGMA busy_timeout = 3000' },
];

const pragmas: Work = (random) => [
  { sql: `PRAGMA synchronous = ${random.pick(['OFF', 'NORMAL', 'FULL'])}` },
  { sql: `PRAGMA wal_autocheckpoint = ${random.pick([0, 20, 1000, 1000])}` },
];

const look: Work = (random) => [
  { sql: 'BEGIN; SELECT count(*) FROM entry;' },
  { sleep: random.chance(0.3) ? random.range(500, 2500) : random.int(200) },
  { sql: 'COMMIT' },
];

const WORK: Readonly<Record<Manner, readonly (readonly [weight: number, work: Work])[]>> = {
  steady: [
    [40, insert],
    [10, update],
    [4, remove],
    [50, breath],
    [6, pause],
    [1, huge],
  ],
  hostile: [
    [30, insert],
    [14, update],
    [8, remove],
    [6, huge],
    [6, nested],
    [4, recreate],
    [2, index],
    [2, vacuum],
    [3, shrink],
    [5, checkpoint],
    [2, pragmas],
    [2, reopen],
    [12, breath],
    [3, pause],
  ],
  reader: [
    [10, look],
    [4, pause],
    [1, reopen],
  ],
};
