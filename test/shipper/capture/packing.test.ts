/** Which captured segments are packed tightly: only what the app does not wait for, and does not outrun. */
import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { codec } from '../../../replica/format/codec.ts';
import { PageHashes } from '../../../replica/format/page-hashes.ts';
import { decodeSegment, encodeSegment, parseSegmentHeader, type Packing } from '../../../replica/format/segment.ts';
import { captureNext, type CapturePoint } from '../../../shipper/helper/capture/capture.ts';
import { readShmHeader, type ShmHeader } from '../../../shipper/helper/database/shm-header.ts';
import { Scratch } from '../../history/scratch.ts';

const LZ4 = codec('lz4');
const PAGE_SIZE = 4096;

/** A WAL of many small commits, none of it checkpointed. */
function busyWal(): { readonly wal: ShmHeader; readonly bytes: Buffer } {
  using scratch = new Scratch();
  const path = join(scratch.path, 'app.db');
  const db = new Database(path);
  db.pragma('journal_mode = WAL');
  db.pragma('wal_autocheckpoint = 0');
  db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, body)');
  for (let i = 0; i < 200; i++) db.exec('INSERT INTO t (body) VALUES (randomblob(100))');
  const shm = openSync(`${path}-shm`, 'r');
  try {
    return { wal: readShmHeader(shm)!, bytes: readFileSync(`${path}-wal`) };
  } finally {
    closeSync(shm);
    db.close();
  }
}

/** Captures everything, and tells how each segment was packed. */
function packings(segmentSize: number, urgent: boolean): Packing[] {
  const { wal, bytes } = busyWal();
  const hashes = new PageHashes(PAGE_SIZE);
  const state = { pages: 0, checksum: 0n, time: 0 };
  let point: CapturePoint = {
    generation: '00112233445566aa',
    index: 0,
    offset: 0,
    wal: undefined,
    sum: wal.sum,
    state,
  };
  const source = {
    read: (offset: number, length: number) => bytes.subarray(offset, offset + length),
    letGo: () => undefined,
    pageSize: PAGE_SIZE,
  };
  const found: Packing[] = [];
  for (;;) {
    const segment = captureNext(point, wal, source, hashes, {
      segmentSize,
      seen: [],
      codec: LZ4,
      urgent,
      replayEnd: 0,
    });
    if (segment === undefined) return found;
    const header = parseSegmentHeader(segment.bytes);
    assert.ok(header !== undefined && !('needs' in header));
    const raw = decodeSegment(segment.bytes, header, 'lz4');
    const [tight, quick] = (['tight', 'quick'] as const).map((packing) => encodeSegment(header, raw, LZ4, packing));
    assert.ok(!tight!.equals(quick!), 'a segment that tells nothing');
    assert.ok(segment.bytes.equals(tight!) || segment.bytes.equals(quick!));
    found.push(segment.bytes.equals(tight!) ? 'tight' : 'quick');
    point = segment.after;
  }
}

test('a segment is packed tightly if it is all there is and nothing waits for it', () => {
  assert.deepEqual(packings(64 << 20, false), ['tight']);
  assert.deepEqual(packings(64 << 20, true), ['quick']);
});

test('while the app writes faster than segments are asked for, they are packed quickly, but for the last', () => {
  const segments = packings(200_000, false);
  assert.ok(segments.length > 3);
  assert.deepEqual(
    segments,
    segments.map((_, i) => (i === segments.length - 1 ? 'tight' : 'quick')),
  );
});
