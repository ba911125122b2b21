/** The test vectors of docs/FORMAT.md are what the code writes and reads. On a difference the failure shows the right bytes. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { codec } from '../../replica/format/codec.ts';
import { formatChecksum, PageHashes } from '../../replica/format/page-hashes.ts';
import { decodeSegment, encodeSegment, parseSegmentHeader, type SegmentHeader } from '../../replica/format/segment.ts';
import { encodeSnapshotHeader, parseSnapshotHeader, type SnapshotFacts } from '../../replica/format/snapshot.ts';
import { hashPage } from '../../replica/format/xxhash.ts';
import { encodeFrame, encodeWalHeader, parseWalHeader, WAL_HEADER_SIZE } from '../../replica/wal/format.ts';

const FORMAT = readFileSync(join(import.meta.dirname, '../../docs/FORMAT.md'), 'utf8');

/** The bytes in the rows of the table below a heading: `| at | bytes | what |`, joined, with `at` held to their sum. */
function bytesBelow(heading: string): Buffer {
  const [, section] = FORMAT.split(`### ${heading}\n`);
  assert.ok(section !== undefined, `FORMAT has a heading ${heading}`);
  const rows = [...section.split(/^##/m)[0]!.matchAll(/^\| (\d+) +\| `([0-9a-f ]+)` /gm)];
  assert.ok(rows.length > 10, `${rows.length} rows found`);
  let bytes = '';
  for (const [row, at, hex] of rows) {
    assert.equal(Number(at), bytes.length / 2, row);
    bytes += hex!.replaceAll(' ', '');
  }
  return Buffer.from(bytes, 'hex');
}

const ZEROS = Buffer.alloc(512);
const COUNTED = Buffer.from(Array.from({ length: 512 }, (_, i) => i & 0xff));
const ONES = Buffer.alloc(512, 0xff);
const CONTENT: Readonly<Record<string, Buffer>> = { zeros: ZEROS, counted: COUNTED, ones: ONES };
const GENERATION = '0123456789abcdef';

function checksumOf(pages: readonly Buffer[]): bigint {
  const hashes = new PageHashes(512);
  for (const [i, page] of pages.entries()) hashes.set(i + 1, page);
  hashes.commit(pages.length);
  return hashes.checksum;
}

test('page hashes and the database checksum', () => {
  const rows = [...FORMAT.matchAll(/^\| (\d+) +\| (zeros|counted|ones) +\| `([0-9a-f]{16})` +\|$/gm)];
  assert.equal(rows.length, 5);
  for (const [, page, content, hash] of rows) {
    assert.equal(formatChecksum(hashPage(Number(page), CONTENT[content!]!)), hash, `page ${page}, ${content}`);
  }
  const [, checksum] = /their checksum is `([0-9a-f]{16})`/.exec(FORMAT) ?? [];
  assert.equal(formatChecksum(checksumOf([ZEROS, COUNTED, ONES])), checksum);
});

test('a segment, whole', () => {
  const wal = { order: 'little', salt1: 0x11111111, salt2: 0x22222222 } as const;
  const walHeader = encodeWalHeader({ ...wal, pageSize: 512, sequence: 0 });
  const raw = Buffer.concat([walHeader, encodeFrame(wal, parseWalHeader(walHeader).sum, 1, 1, ZEROS).frame]);
  assert.equal(raw.length, WAL_HEADER_SIZE + 24 + 512);
  const header: SegmentHeader = {
    generation: GENERATION,
    index: 42,
    offset: 0,
    pageSize: 512,
    rawLength: raw.length,
    before: { pages: 1, time: 1_767_225_600_000, checksum: checksumOf([COUNTED]) },
    marks: [{ offset: raw.length, time: 1_767_225_601_000, pages: 1, checksum: checksumOf([ZEROS]), restorable: true }],
    endsOnCommit: true,
  };
  const documented = bytesBelow('A segment');
  const parsed = parseSegmentHeader(documented);
  assert.ok(parsed !== undefined && 'marks' in parsed);
  const { bodyStart, bodyLength, bodyCrc, ...facts } = parsed;
  assert.deepEqual(facts, header);
  assert.equal(bodyStart + bodyLength, documented.length);
  assert.ok(bodyCrc > 0);
  assert.ok(decodeSegment(documented, parsed, 'lz4').equals(raw));
  // Its body may be packed in other ways; its header, but for the length and the CRC of the body, may not.
  const written = encodeSegment(header, raw, codec('lz4'));
  assert.equal(written.toString('hex'), documented.toString('hex'));
});

test('the header of a snapshot', () => {
  const facts: SnapshotFacts = {
    generation: GENERATION,
    index: 43,
    pageSize: 512,
    pages: 1,
    time: 1_767_225_601_000,
    checksum: checksumOf([ZEROS]),
    reason: 'compaction',
    file: { mode: 0o640, uid: 1000, gid: 1000 },
  };
  const documented = bytesBelow('The header of a snapshot');
  assert.deepEqual(parseSnapshotHeader(documented), facts);
  assert.equal(encodeSnapshotHeader(facts).toString('hex'), documented.toString('hex'));
});
