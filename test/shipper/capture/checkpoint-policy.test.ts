/** What is done about the WAL's length, by numbers alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decideCheckpoint, type WalPressure } from '../../../shipper/helper/capture/checkpoint-policy.ts';

const MiB = 1 << 20;
const LIMITS = { checkpointAt: 4 * MiB, sealAt: 16 * MiB, sealInterval: 3_600_000, shrinkAt: 500 * MiB };
/** An app at full speed, further ahead than an index can be ended. */
const BURST: WalPressure = {
  frames: 25_000,
  used: 100 * MiB,
  pending: 100 * MiB,
  fileSize: 100 * MiB,
  indexAge: 1000,
  sincePassive: 10_000,
  passiveTook: 0,
  unflushed: 0,
  flushing: false,
  flushes: 0,
  sinceBlocked: 10_000,
  blockedTries: 0,
  occasion: 'behind',
};
const decide = (wal: Partial<WalPressure>): string => decideCheckpoint({ ...BURST, ...wal }, LIMITS).kind;

test('the disk is given a long WAL before there is anything to copy, in rounds, and nothing is copied meanwhile', () => {
  assert.equal(decide({ unflushed: 100 * MiB }), 'flush');
  assert.equal(decide({ unflushed: 60 * MiB, flushing: true, flushes: 1 }), 'none');
  assert.equal(decide({ unflushed: 20 * MiB, flushes: 1 }), 'flush');
  assert.equal(decide({ unflushed: 5 * MiB, flushes: 2 }), 'passive', 'little is left');
  assert.equal(decide({ unflushed: 90 * MiB, flushes: 4 }), 'passive', 'the disk is slower than the app');
  assert.equal(decide({ unflushed: 5 * MiB, pending: 5 * MiB }), 'passive', 'a WAL of ordinary length is not flushed');
});

test('checkpoints take a fifth of the time at most, however slow the disk is', () => {
  assert.equal(decide({ sincePassive: 150, passiveTook: 1 }), 'none');
  assert.equal(decide({ sincePassive: 250, passiveTook: 1 }), 'passive');
  assert.equal(decide({ sincePassive: 1900, passiveTook: 500 }), 'none');
  assert.equal(decide({ sincePassive: 2100, passiveTook: 500 }), 'passive');
});

test('an index is ended by its length, but not while more waits than could be captured then', () => {
  assert.equal(decide({ occasion: 'busy' }), 'seal');
  assert.equal(decide({ occasion: 'behind' }), 'passive');
  assert.equal(decide({ occasion: 'behind', pending: 0 }), 'seal-idle', 'what is copied whole ends without a lock');
});
