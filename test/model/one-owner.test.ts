/** The rules by which shippers share a replica, tried in every order of steps, and rules that were broken before. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explore, PRODUCT, type Bounds, type Rules } from './one-owner.ts';

const AT_WORK: Bounds = { commits: 2, begin: 'at-work' };
const EMPTY: Bounds = { commits: 1, begin: 'empty' };

for (const bounds of [AT_WORK, EMPTY]) {
  test(`one owner: no order of steps breaks the rules (${bounds.begin})`, () => {
    const { states, fault, way } = explore(PRODUCT, bounds);
    assert.equal(fault, undefined, JSON.stringify(way?.at(-1)));
    assert.ok(states > 200, `${states} states`);
  });
}

/** Each was the product's rule, or is the fix with a part taken out. */
const BROKEN: readonly (readonly [string, Partial<Rules>, Bounds, RegExp])[] = [
  ['the claim is read at a new index only', { answer: 'new-index-only' }, AT_WORK, /was answered although/],
  ['the claim is read before the PUT', { answer: 'before-put' }, AT_WORK, /was answered although|does not know/],
  ['a new generation where a key was taken', { contested: 'new-generation' }, AT_WORK, /could be gone on with/],
  ['the generation of a claim that had no snapshot is not looked at again', { close: false }, EMPTY, /does not know/],
  ['each shipper writes its own codec', { codec: 'of-shipper' }, AT_WORK, /gap or a fork/],
  ['a snapshot counts although the claim went', { afterSnapshot: false, answer: 'new-index-only' }, EMPTY, /answered/],
];

for (const [what, change, bounds, words] of BROKEN) {
  test(`one owner, broken: ${what}`, () => {
    const { fault, way } = explore({ ...PRODUCT, ...change }, bounds);
    assert.match(fault ?? 'no fault found', words, JSON.stringify(way?.at(-1)));
  });
}
