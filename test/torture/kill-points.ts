/**
 * The named points at which a process is killed: at the n-th request of a kind that it makes, before the server carries
 * it out or when it has done so and not answered yet. Nothing in the product knows of them.
 */
import type { FaultRule, RequestTarget } from '../s3-server/index.ts';
import { accessKeyId } from '../s3-server/access.ts';

interface Point {
  readonly of: 'app' | 'keeper';
  readonly when: 'before' | 'after';
  readonly match: (request: RequestTarget) => boolean;
}

const put =
  (part: RegExp) =>
  (request: RequestTarget): boolean =>
    request.op === 'PutObject' && part.test(request.key);
const SEGMENT = put(/\/wal\/\d/);
const SNAPSHOT = ({ op, key }: RequestTarget): boolean =>
  (op === 'PutObject' || op === 'CompleteMultipartUpload') && key.includes('/snapshots/');

/** What is killed where. `app` points are those of its helper. */
const KILL_POINTS = {
  'captured, not uploaded': { of: 'app', when: 'before', match: SEGMENT },
  'uploaded, not acknowledged': { of: 'app', when: 'after', match: SEGMENT },
  'before the claim': { of: 'app', when: 'before', match: put(/seawall\/claim$/) },
  'claimed, nothing more': { of: 'app', when: 'after', match: put(/seawall\/claim$/) },
  'snapshot not visible yet': { of: 'app', when: 'before', match: SNAPSHOT },
  'snapshot there, not known': { of: 'app', when: 'after', match: SNAPSHOT },
  'in the middle of a snapshot': { of: 'app', when: 'after', match: ({ op }) => op === 'UploadPart' },
  'before the head': { of: 'app', when: 'before', match: put(/seawall\/head$/) },
  'head written': { of: 'app', when: 'after', match: put(/seawall\/head$/) },
  'reading the claim': {
    of: 'app',
    when: 'after',
    match: ({ op, key }) => op === 'GetObject' && key.endsWith('seawall/claim'),
  },
  'listing the replica': { of: 'app', when: 'after', match: ({ op }) => op === 'ListObjectsV2' },
  'reading the replica’s end, or restoring': {
    of: 'app',
    when: 'before',
    match: ({ op, key }) => op === 'GetObject' && key.includes('/generations/'),
  },
  'compacting: reading': {
    of: 'keeper',
    when: 'before',
    match: ({ op, key }) => op === 'GetObject' && key.includes('/generations/'),
  },
  'compacting: in the middle': {
    of: 'keeper',
    when: 'after',
    match: ({ op }) => op === 'UploadPart' || op === 'UploadPartCopy',
  },
  'compacting: not visible yet': { of: 'keeper', when: 'before', match: SNAPSHOT },
  'compacting: done, not known': { of: 'keeper', when: 'after', match: SNAPSHOT },
  'retaining: before the floors': { of: 'keeper', when: 'before', match: put(/seawall\/floors$/) },
  'retaining: floors raised, nothing deleted': { of: 'keeper', when: 'after', match: put(/seawall\/floors$/) },
  'retaining: in the middle of deleting': { of: 'keeper', when: 'after', match: ({ op }) => op === 'DeleteObjects' },
  'retaining: before the report': { of: 'keeper', when: 'before', match: put(/seawall\/reports\//) },
} as const satisfies Readonly<Record<string, Point>>;

export type KillPoint = keyof typeof KILL_POINTS;

export function pointsOf(process: Point['of']): KillPoint[] {
  return (Object.keys(KILL_POINTS) as KillPoint[]).filter((name) => KILL_POINTS[name].of === process);
}

/** The rule that strikes once, at the n-th request (from 1) of that kind by a client of that access key. */
export function killRule(name: KillPoint, nth: number, accessKey: string, strike: () => void): FaultRule {
  const { when, match } = KILL_POINTS[name];
  return {
    kind: when === 'before' ? 'reset' : 'lost-ack',
    match: (request) => accessKeyId(request) === accessKey && match(request),
    after: nth - 1,
    times: 1,
    strike,
  };
}
