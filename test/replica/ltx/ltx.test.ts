/** Replicas of Litestream 0.5: what is restored is right, or a named error. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compact } from '../../../replica/compaction/compact.ts';
import { findDatabases, hasReplica } from '../../../replica/catalogue/databases.ts';
import { drill } from '../../../replica/restore/drill.ts';
import { isKind } from '../../../replica/terms/errors.ts';
import { openAt } from '../../../replica/restore/choose.ts';
import { restore } from '../../../replica/restore/restore.ts';
import { memoryStore } from '../../../replica/store/memory.ts';
import { scoped } from '../../../replica/store/scoped.ts';
import type { Store } from '../../../replica/store/store.ts';
import { LATEST, parseTarget, type Target } from '../../../replica/terms/target.ts';
import { verify } from '../../../replica/verification/verify.ts';
import { collect } from '../../../testing/store/reading.ts';
import { expectKind } from '../../history/expect.ts';
import { hashOf } from '../../history/history.ts';
import { ltxChecksum, ltxFile, ltxKey } from '../../history/ltx-file.ts';
import { LTX_START, LTX_STEP, ltxReplica, type LtxState } from '../../history/ltx-replica.ts';
import { assertSameBytes } from '../../history/same-bytes.ts';
import { Scratch } from '../../history/scratch.ts';
import { Seeded } from '../../history/seeded.ts';

const SHAPE = { transactions: 12, merged: [[1, 4], [5, 8]], snapshots: [3, 9], forgotten: 6 } as const; // prettier-ignore
/** What can be made of that: the ends of files, and single transactions behind them. */
const KEPT = [3, 4, 8, 9, 10, 11, 12];

async function restoredHash(store: Store, target: Target, memory?: number): Promise<string> {
  using scratch = new Scratch();
  const path = scratch.file();
  const { proof } = await restore(store, path, { target, ...(memory !== undefined && { memory }) });
  assert.equal(proof, 'files');
  return hashOf(readFileSync(path));
}

test('every state that the files make is restored, the others are refused and the nearest named', async () => {
  const store = memoryStore();
  const { states, pageSize } = await ltxReplica(store, { ...SHAPE, seed: 8100 });
  assert.equal(await restoredHash(store, LATEST), states.at(-1)!.hash);
  for (const { txid, hash, image } of states) {
    const target = parseTarget(`txid:${txid.toString(16).padStart(16, '0')}`);
    if (KEPT.includes(txid)) {
      assert.equal(await restoredHash(store, target), hash, `transaction ${txid}`);
      const open = await openAt(store, target);
      assertSameBytes(await open.readPages(1, open.pages), image);
      assertSameBytes(await open.readPage(open.pages), image.subarray(image.length - pageSize));
      await open.close();
      await assert.rejects(open.readPage(1), TypeError);
      continue;
    }
    const error = await expectKind(restoredHash(store, target), 'point');
    assert.equal(error.code, 'POINT_NOT_KEPT');
    assert.match(`${error.facts.before ?? ''}${error.facts.after ?? ''}`, /^(txid:[0-9a-f]{16})+$/);
  }
});

test('by time: the state as it was then, and where transactions were merged no guess', async () => {
  const store = memoryStore();
  const { states } = await ltxReplica(store, { ...SHAPE, seed: 8200 });
  const at = (txid: number, more = 0): Target => ({ kind: 'time', time: LTX_START + txid * LTX_STEP + more });
  for (const txid of [8, 9, 10, 11, 12]) {
    assert.equal(await restoredHash(store, at(txid)), states[txid - 1]!.hash);
    assert.equal(await restoredHash(store, at(txid, LTX_STEP - 1)), states[txid - 1]!.hash);
  }
  assert.equal((await expectKind(restoredHash(store, at(6)), 'point')).code, 'POINT_NOT_KEPT');
  assert.equal((await expectKind(restoredHash(store, at(0)), 'point')).code, 'POINT_BEFORE_FIRST');
  const position: Target = { kind: 'position', position: { generation: '0123456789abcdef', index: 0, offset: 0 } };
  assert.equal((await expectKind(restoredHash(store, position), 'point')).code, 'POINT_OF_OTHER_FORMAT');
});

test('more changed pages than memory holds make the same database', async () => {
  const store = memoryStore();
  const random = new Seeded(8300);
  const pages = 6000;
  const numbers = Array.from({ length: pages }, (_, i) => i + 1);
  const before = new Map(numbers.map((page) => [page, Buffer.alloc(512, page)]));
  const after = new Map(numbers.filter((page) => page % 5 !== 0).map((page) => [page, random.noise(512)]));
  const facts = { pageSize: 512, pages, time: LTX_START };
  await store.put(ltxKey(0, 1, 1), ltxFile({ ...facts, min: 1, max: 1 }, before));
  await store.put(
    ltxKey(0, 2, 2),
    ltxFile({ ...facts, min: 2, max: 2, pages: 5900 }, new Map([...after].slice(0, 4700))),
  );
  await store.put(ltxKey(0, 3, 3), ltxFile({ ...facts, min: 3, max: 3 }, new Map([[6000, Buffer.alloc(512, 7)]])));
  const expected = numbers.map((page) => {
    if (page > 5900) return Buffer.alloc(512, page === 6000 ? 7 : 0); // cut off, then grown again
    const changed = [...after.keys()].indexOf(page);
    return changed >= 0 && changed < 4700 ? after.get(page)! : before.get(page)!;
  });
  assert.equal(await restoredHash(store, LATEST, 1), hashOf(Buffer.concat(expected)));
  const open = await openAt(store, LATEST);
  assertSameBytes(await open.readPages(5800, 201), Buffer.concat(expected.slice(5799)));
});

test('a sound replica verifies; with any file gone or any byte flipped, the file or the gap is named', async () => {
  const store = memoryStore();
  const { states } = await ltxReplica(store, { ...SHAPE, seed: 8400, largest: 2000 });
  const sound = await verify(store);
  assert.deepEqual([sound.problems, sound.warnings], [[], []]);
  let told = 0;
  const random = new Seeded(8401);
  for (const { key } of await collect(store.list(''))) {
    const { body } = await store.get(key);
    for (let i = 0; i < 8; i++) {
      const damaged = Buffer.from(body);
      damaged[random.int(body.length)]! ^= 1 << random.int(8);
      await store.put(key, damaged);
      const { problems } = await verify(store);
      assert.ok(problems.some((problem) => problem.key === key), `${key}: ${JSON.stringify(problems)}`); // prettier-ignore
    }
    await store.delete([key]);
    const { problems } = await verify(store);
    for (const { txid } of states) {
      const target: Target = { kind: 'txid', txid };
      const found = await restoredHash(store, target).catch((error: unknown) => error);
      if (typeof found === 'string') assert.equal(found, states[txid - 1]!.hash);
      else assert.ok(isKind(found, 'point', 'corrupt'), String(found));
    }
    // What is not told makes no difference to the latest state; only the newest file of all is missed by nobody.
    const newest = key === ltxKey(0, 12, 12);
    if (problems.length === 0) assert.equal(await restoredHash(store, LATEST), states.at(newest ? -2 : -1)!.hash, key);
    told += problems.length;
    await store.put(key, body);
  }
  assert.ok(told >= 4, 'each hole within a level was told');
});

test('files that say different things of one state are found, though every checksum holds', async () => {
  const store = memoryStore();
  const { states, pageSize } = await ltxReplica(store, { ...SHAPE, seed: 8500 });
  const { pages, time, image } = states[8]!;
  const content = new Map<number, Buffer>();
  for (let page = 1; page <= pages; page++)
    content.set(page, Buffer.from(image.subarray((page - 1) * pageSize, page * pageSize)));
  content.get(2)![9]! ^= 1;
  await store.put(ltxKey(9, 1, 9), ltxFile({ pageSize, pages, min: 1, max: 9, time }, content));
  const { problems } = await verify(store);
  assert.deepEqual(problems.map(({ key, code }) => [key, code]), [[ltxKey(9, 1, 9), 'LTX_DIFFERS']]); // prettier-ignore
});

test('where a file records the checksum of the database, a restore is proven by it', async () => {
  const store = memoryStore();
  const { states, pageSize } = await ltxReplica(memoryStore(), { seed: 8600, transactions: 2 });
  const pagesOf = ({ image, pages }: LtxState): Map<number, Buffer> =>
    new Map(Array.from({ length: pages }, (_, i) => [i + 1, image.subarray(i * pageSize, (i + 1) * pageSize)]));
  const sums = states.map((state) => ltxChecksum(pagesOf(state), 0));
  const put = async (after: bigint): Promise<void> => {
    const [one, two] = states as [LtxState, LtxState];
    const first = {
      pageSize,
      pages: one.pages,
      min: 1,
      max: 1,
      time: one.time,
      checksums: { before: 0n, after: sums[0]! },
    };
    const second = {
      pageSize,
      pages: two.pages,
      min: 2,
      max: 2,
      time: two.time,
      checksums: { before: sums[0]!, after },
    };
    await store.put(ltxKey(0, 1, 1), ltxFile(first, pagesOf(one)));
    await store.put(ltxKey(0, 2, 2), ltxFile(second, pagesOf(two)));
  };
  using scratch = new Scratch();
  await put(sums[1]!);
  assert.equal((await restore(store, scratch.file())).proof, 'recorded');
  await put(sums[1]! ^ 1n);
  assert.equal((await expectKind(restore(store, scratch.file()), 'corrupt')).code, 'RESTORE_CHECKSUM');
});

test('such a replica is found and drilled, and left alone by what compacts and retains', async () => {
  const root = memoryStore();
  const store = scoped(root, 'nested/app');
  await ltxReplica(store, { ...SHAPE, seed: 8700 });
  assert.deepEqual(await collect(findDatabases(root, '', undefined, hasReplica)), ['nested/app']);
  assert.deepEqual(await collect(findDatabases(root)), []);
  const report = await drill(store, { now: LTX_START + 60_000, random: 0.5, elapsed: () => 0 });
  assert.ok(report.passed);
  assert.match(report.proven.join(), /the checksums of its files hold/);
  await expectKind(compact(store, { policy: 'always', now: LTX_START }), 'unsupported');
});
