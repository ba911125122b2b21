/** LTX files: what the format allows is read, and any cut or changed byte is a named error. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../../../replica/terms/errors.ts';
import { Crc64 } from '../../../replica/ltx/crc64.ts';
import type { LtxRef } from '../../../replica/ltx/layout.ts';
import { readLtx, readLtxHeader } from '../../../replica/ltx/reader.ts';
import { memoryStore } from '../../../replica/store/memory.ts';
import { lockPage } from '../../../replica/wal/format.ts';
import { expectKind } from '../../history/expect.ts';
import { hashOf } from '../../history/history.ts';
import { ltxFile, ltxKey, type LtxFileFacts } from '../../history/ltx-file.ts';
import { rerunnable, Seeded, seeds } from '../../history/seeded.ts';

const FILE = 'test/replica/ltx/ltx-files.test.ts';
const FACTS: LtxFileFacts = { pageSize: 512, pages: 5, min: 4, max: 6, time: 1_772_000_000_000 };

function keyOf({ min, max }: LtxFileFacts): string {
  return ltxKey(1, min, max);
}

async function read(bytes: Buffer, facts: LtxFileFacts): Promise<[number, string][]> {
  const store = memoryStore();
  const key = keyOf(facts);
  await store.put(key, bytes);
  const ref: LtxRef = { key, level: 1, min: facts.min, max: facts.max, size: bytes.length, lastModified: 0 };
  const pages: [number, string][] = [];
  const header = await readLtxHeader(store, ref);
  for await (const { page, content } of readLtx(store, ref)) pages.push([page, hashOf(content)]);
  assert.equal(header.pages, facts.pages);
  return pages;
}

function content(random: Seeded, pageSize: number, pages: readonly number[]): Map<number, Buffer> {
  return new Map(pages.map((page) => [page, Buffer.concat([random.noise(40), Buffer.alloc(pageSize - 40, page)])]));
}

function hashed(pages: ReadonlyMap<number, Buffer>): [number, string][] {
  return [...pages].map(([page, bytes]) => [page, hashOf(bytes)]);
}

test('the CRC is CRC-64/ISO, in pieces of any length', () => {
  const text = Buffer.from('123456789');
  assert.equal(new Crc64().update(text).digest(), 0xb90956c775a41001n);
  for (let cut = 0; cut <= text.length; cut++) {
    const sum = new Crc64().update(text.subarray(0, cut)).update(text.subarray(cut));
    assert.equal(sum.digest(), 0xb90956c775a41001n);
  }
});

test('pages come out as they went in, at every page size, from blocks and from frames', async () => {
  const random = new Seeded(7100);
  for (let pageSize = 512; pageSize <= 65536; pageSize *= 2) {
    for (const framed of [false, true]) {
      const facts = { ...FACTS, pageSize, framed };
      const pages = content(random, pageSize, [1, 3, 5]);
      pages.set(3, random.noise(pageSize)); // does not shrink
      pages.set(5, Buffer.alloc(pageSize));
      assert.deepEqual(await read(ltxFile(facts, pages), facts), hashed(pages));
    }
  }
});

test('a file without pages, for a database that only shrank, is read', async () => {
  assert.deepEqual(await read(ltxFile(FACTS, new Map()), FACTS), []);
});

test('every cut and every changed byte is a named error', async () => {
  for (const seed of seeds(1, 7200)) {
    await rerunnable(seed, FILE, async () => {
      const random = new Seeded(seed);
      for (const framed of [false, true]) {
        const facts = { ...FACTS, framed };
        const pages = content(random, 512, [1, 5]);
        const bytes = ltxFile(facts, pages);
        for (let length = 0; length < bytes.length; length++) {
          await expectKind(read(bytes.subarray(0, length), facts), 'corrupt');
        }
        await expectKind(read(Buffer.concat([bytes, Buffer.alloc(1)]), facts), 'corrupt');
        for (let at = 0; at < bytes.length; at++) {
          const damaged = Buffer.from(bytes);
          damaged[at]! ^= 1 << random.int(8);
          const found = await read(damaged, facts).catch((error: unknown) => error);
          // In LZ4 two encodings may stand for the same content, and the checksum is over the content.
          if (Array.isArray(found)) assert.deepEqual(found, hashed(pages), `byte ${at}`);
          else assert.ok(isKind(found, 'corrupt', 'unsupported'), `byte ${at}: ${String(found)}`);
        }
      }
    });
  }
});

test('a file whose checksum holds and whose content is impossible is refused', async () => {
  const random = new Seeded(7300);
  const refused = async (facts: LtxFileFacts, pages: readonly number[], code: string): Promise<void> => {
    const error = await expectKind(read(ltxFile(facts, content(random, facts.pageSize, pages)), FACTS), 'corrupt');
    assert.equal(error.code, code, JSON.stringify(pages));
  };
  await refused(FACTS, [1, 6], 'LTX_PAGE'); // behind the end
  await refused({ ...FACTS, min: 5 }, [1], 'LTX_IDENTITY'); // under another's key
  await refused({ ...FACTS, min: 7 }, [1], 'LTX_HEADER');
  await refused({ ...FACTS, pageSize: 500 }, [1], 'LTX_HEADER');
  const snapshot: LtxFileFacts = { ...FACTS, min: 1 };
  const lacking = ltxFile(snapshot, content(random, 512, [1, 2, 4, 5]));
  assert.equal((await expectKind(read(lacking, snapshot), 'corrupt')).code, 'LTX_PAGE');
  const short = ltxFile(snapshot, content(random, 512, [1, 2, 3, 4]));
  assert.equal((await expectKind(read(short, snapshot), 'corrupt')).code, 'LTX_PAGE');
  const large = { ...FACTS, pageSize: 65536, pages: 20_000 };
  const withLock = ltxFile(large, content(random, 65536, [lockPage(65536)]));
  assert.equal((await expectKind(read(withLock, large), 'corrupt')).code, 'LTX_PAGE');
});

test('a file of a version or with fields that are not known is refused as such', async () => {
  const bytes = ltxFile(FACTS, content(new Seeded(7400), 512, [1]));
  const changed = (at: number, value: number): Buffer => {
    const copy = Buffer.from(bytes);
    copy[at] = value;
    return copy;
  };
  for (const [at, value, code] of [
    [3, 0x32, 'LTX_VERSION'],
    [7, 8, 'LTX_VERSION'],
    [90, 1, 'LTX_VERSION'],
    [16, 0x80, 'LTX_TXID'],
  ] as const) {
    assert.equal((await expectKind(read(changed(at, value), FACTS), 'unsupported')).code, code);
  }
});
