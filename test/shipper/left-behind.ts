/** What a helper leaves in a bucket that dies between two segments of one transaction. */
import { codec } from '../../replica/format/codec.ts';
import { encodeSegment, type SegmentHeader } from '../../replica/format/segment.ts';
import { segmentKey } from '../../replica/terms/layout.ts';
import type { ReplicaEnd } from '../../replica/takeover/replica-end.ts';
import type { Store } from '../../replica/store/store.ts';
import { encodeFrame } from '../../replica/wal/format.ts';

/** One more segment at the end of a replica. */
export async function leaveSegment(
  store: Store,
  { generation, index, offset, state, hashes: { pageSize } }: ReplicaEnd,
  raw: Buffer,
  rest: Pick<SegmentHeader, 'marks' | 'endsOnCommit'>,
): Promise<void> {
  const header = { generation, index, offset, pageSize, rawLength: raw.length, before: state, ...rest };
  await store.put(segmentKey(generation, index, offset, 'lz4'), encodeSegment(header, raw, codec('lz4')), 'absent');
}

/** The first half of a transaction: these pages, with content that the database never had. */
export async function leaveTransaction(store: Store, end: ReplicaEnd, pages: readonly number[]): Promise<void> {
  let { sum } = end;
  const frames = pages.map((page) => {
    const next = encodeFrame(end.wal!, sum, page, 0, Buffer.alloc(end.hashes.pageSize, page));
    ({ sum } = next);
    return next.frame;
  });
  await leaveSegment(store, end, Buffer.concat(frames), { marks: [], endsOnCommit: false });
}
