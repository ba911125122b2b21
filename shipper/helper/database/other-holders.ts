/**
 * Whether another process has a database open. SQLite holds a POSIX lock on the file of a database in WAL mode for as
 * long as a connection has it open, and Linux lists all locks in /proc/locks. Reading that list takes no lock, so no
 * process notices it.
 */
import { readFileSync, readlinkSync } from 'node:fs';

/**
 * A list that was read counts for so many milliseconds at least and at most, in between for so many times as long as
 * reading it took: with many databases many ask within one round of looks.
 */
const FRESH = 50;
const READING_SHARE = 50;
const OLD = 250;
/** Linux gives this inode to the first namespace of process ids. From there all processes, and so all locks, are seen. */
const FIRST_NAMESPACE = 'pid:[4026531836]';

export type Holders =
  /** A process other than this one has it open. */
  | 'others'
  /** No other process has it open. */
  | 'none'
  /** No lock of another process is seen, but one in another container might have it open. Or this is not Linux. */
  | 'unknown';

interface List {
  /** Processes that hold locks, by file. */
  readonly holders: ReadonlyMap<string, ReadonlySet<number>>;
  readonly until: number;
}

let list: List | undefined;

/**
 * Says who else has one of these files open, which are given by device and inode: the database, and its WAL index where
 * that is known, on which SQLite holds a lock of its own. Without `fresh` what was known a moment ago may be the answer.
 */
export function otherHolders(files: readonly string[], fresh = true): Holders {
  if (fresh || list === undefined || performance.now() >= list.until) list = readList();
  if (list === undefined) return 'unknown';
  let ours = false;
  for (const file of files) {
    for (const pid of list.holders.get(asListed(file)) ?? []) {
      if (pid !== process.pid) return 'others';
      ours = true;
    }
  }
  // A lock of this process that is listed shows that the list names the file as expected.
  return seesAllProcesses() || ours ? 'none' : 'unknown';
}

function readList(): List | undefined {
  const from = performance.now();
  let text: string;
  try {
    text = readFileSync('/proc/locks', 'utf8');
  } catch {
    return undefined;
  }
  const holders = new Map<string, Set<number>>();
  // "1: POSIX  ADVISORY  READ 31726 fe:00:10117352 1073741826 1073742335"; "->" marks one that waits.
  for (const [, pid = '', file = ''] of text.matchAll(/^\d+: POSIX +\S+ +\S+ +(\d+) (\S+) /gm)) {
    const pids = holders.get(file);
    if (pids === undefined) holders.set(file, new Set([Number(pid)]));
    else pids.add(Number(pid));
  }
  const now = performance.now();
  return { holders, until: now + Math.min(Math.max(FRESH, READING_SHARE * (now - from)), OLD) };
}

function asListed(file: string): string {
  const [device = '', inode = ''] = file.split(':');
  const dev = BigInt(device);
  const major = Number((dev >> 8n) & 0xfffn);
  const minor = Number((dev & 0xffn) | ((dev >> 12n) & 0xfff00n));
  const hex = (number: number): string => number.toString(16).padStart(2, '0');
  return `${hex(major)}:${hex(minor)}:${inode}`;
}

let seesAll: boolean | undefined;

function seesAllProcesses(): boolean {
  try {
    seesAll ??= readlinkSync('/proc/self/ns/pid') === FIRST_NAMESPACE;
  } catch {
    seesAll = false;
  }
  return seesAll;
}
