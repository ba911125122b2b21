/** Blocks that threads write while the WAL is read: however late they come, what the WAL says of a page is what stays. */
import assert from 'node:assert/strict';
import { readFileSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'node:test';
import { BlockRestorer, type Unpacking } from '../../../replica/image/to-file/block-restorer.ts';
import { BLOCK_SIZE } from '../../../replica/format/block-size.ts';
import { PageHashes } from '../../../replica/format/page-hashes.ts';
import { hashPage } from '../../../replica/format/xxhash.ts';
import { unpackRun } from '../../../replica/image/to-file/run-unpacking.ts';
import { isBlockSnapshot, openSnapshot } from '../../../replica/objects/snapshot-reader.ts';
import { filesStore } from '../../../replica/store/files/store.ts';
import { TicketReader } from '../../../replica/store/read-ticket.ts';
import { loadTimeline } from '../../../replica/catalogue/timeline.ts';
import { WalWriter } from '../../../replica/image/to-file/wal-writer.ts';
import { WriteProgress } from '../../../replica/image/to-file/write-progress.ts';
import { TargetFile } from '../../../replica/image/to-file/target-file.ts';
import { writeLargeReplica } from '../../history/large-replica.ts';
import { Scratch } from '../../history/scratch.ts';

const PAGE_SIZE = 4096;
const PAGES = 3000;
const HELD = 4;

/** A thread that writes a run only when it is told to. */
class LateThread implements Unpacking {
  readonly lanes = 1;
  begun = false;
  #go = Promise.withResolvers<undefined>();

  go(): void {
    this.#go.resolve(undefined);
  }

  unpack: Unpacking['unpack'] = async (run, ticket, fd) => {
    this.begun = true;
    await this.#go.promise;
    const stored = Buffer.alloc(run.length);
    if (ticket instanceof Uint8Array) stored.set(ticket);
    else await new TicketReader().read(ticket, stored);
    const hashes = new BigUint64Array(run.pages.length);
    for (const { bytes, position } of unpackRun(run, stored, hashes, Buffer.alloc(BLOCK_SIZE))) {
      writeSync(fd, bytes, 0, bytes.length, position);
    }
    return hashes;
  };
}

interface Under {
  readonly thread: LateThread;
  readonly wal: WalWriter;
  /** Puts a page of the WAL; its content is the number. */
  readonly put: (page: number) => Promise<void> | undefined;
}

/**
 * Runs `walk` with a thread that has begun with the first blocks and keeps them; then everything is finished, and the
 * file must hold, of each page, what `expected` says of it: the snapshot's, the WAL's, or zeros. The thread is let go at
 * the end, when `mayGo` says so of the bytes that were written without it.
 */
async function expectFile(
  walk: (under: Under) => Promise<void>,
  expected: (page: number) => 'snapshot' | 'wal' | 'zeros',
  mayGo: (written: number) => boolean = () => true,
): Promise<void> {
  using scratch = new Scratch();
  const store = filesStore(scratch.path);
  const large = await writeLargeReplica(store, { pages: PAGES, segments: [] });
  const timeline = await loadTimeline(store);
  const snapshot = await openSnapshot(store, large.generation, timeline.current!.snapshots[0]!);
  assert.ok(isBlockSnapshot(snapshot));
  const walPage = (page: number): Buffer => Buffer.alloc(PAGE_SIZE, page.toString());

  const path = scratch.file();
  const handle = await open(path, 'wx+');
  const file = new TargetFile(handle);
  const hashes = new PageHashes(PAGE_SIZE, PAGES);
  let written = 0;
  const progress = new WriteProgress((done) => (written = done));
  const thread = new LateThread();
  {
    await using blocks = new BlockRestorer(snapshot, file, hashes, thread, progress);
    const wal = new WalWriter(file, hashes, HELD * PAGE_SIZE, progress, blocks);
    blocks.begin(() => wal);
    while (!thread.begun) await turn();
    const put = (page: number): ReturnType<Under['put']> =>
      wal.put({ page, commitPages: 0, content: walPage(page), end: 0 });
    await walk({ thread, wal, put });
    const finished = blocks.finish(wal);
    const end = Date.now() + 30_000;
    for (let i = 0; i < 50 || (!mayGo(written) && Date.now() < end); i++) await turn();
    const without = written;
    thread.go();
    await finished;
    assert.ok(mayGo(without), `${without} bytes written without it`);
  }
  await file.truncate(PAGES * PAGE_SIZE);
  await handle.close();
  hashes.commit(PAGES);

  const bytes = readFileSync(path);
  let checksum = 0n;
  for (let page = 1; page <= PAGES; page++) {
    const content = { snapshot: large.page(page), wal: walPage(page), zeros: Buffer.alloc(PAGE_SIZE) }[expected(page)];
    assert.ok(
      bytes.subarray((page - 1) * PAGE_SIZE, page * PAGE_SIZE).equals(content),
      `page ${page}: ${expected(page)}`,
    );
    checksum ^= hashPage(page, content);
  }
  assert.equal(hashes.checksum, checksum);
}

/** Lets a late thread go when something has had the time to overtake it. */
async function late({ thread }: Under, work: Promise<void> | undefined): Promise<void> {
  for (let i = 0; i < 50; i++) await turn();
  thread.go();
  await work;
}

test('a page of the WAL that memory still holds is written over blocks that come later', async () => {
  await expectFile(
    async ({ put, wal }) => {
      for (const page of [5, 2900]) await put(page);
      await wal.commit(PAGES);
    },
    (page) => (page === 5 || page === 2900 ? 'wal' : 'snapshot'),
  );
});

test('while a thread is late, all other blocks are written without it', async () => {
  const run = 4 << 20; // what it has begun with, at most
  await expectFile(
    async ({ put, wal }) => {
      for (const page of [5, 2900]) await put(page);
      await wal.commit(PAGES);
    },
    (page) => (page === 5 || page === 2900 ? 'wal' : 'snapshot'),
    (written) => written >= PAGES * PAGE_SIZE - run,
  );
});

test('pages that memory does not hold wait for the blocks under them', async () => {
  const pages = [5, 6, 100, 2000, 2900];
  await expectFile(
    async (under) => {
      for (const page of pages.slice(0, HELD)) await under.put(page);
      const flushing = under.put(pages[HELD]!);
      await late(under, flushing);
      await under.wal.commit(PAGES);
    },
    (page) => (pages.includes(page) ? 'wal' : 'snapshot'),
  );
});

test('what a database lost when it shrank does not come back, from blocks that were under way or that follow', async () => {
  await expectFile(
    async (under) => {
      await under.put(1);
      await late(under, under.wal.commit(100));
      for (const page of [150, 2900]) await under.put(page);
      await under.wal.commit(PAGES);
    },
    (page) => (page === 1 || page === 150 || page === 2900 ? 'wal' : page <= 100 ? 'snapshot' : 'zeros'),
  );
});
