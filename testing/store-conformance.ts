/** The storage contract (replica/store/store.ts) as tests: every store runs all of them. */
import { describe, test } from 'node:test';
import type { Store } from '../replica/store/store.ts';
import type { Check } from './store/check.ts';
import { conditions } from './store/conditions.ts';
import { lists } from './store/lists.ts';
import { wholeObjects } from './store/objects.ts';
import { rangesAndStreams } from './store/ranges.ts';
import { scopes } from './store/scopes.ts';
import { uploads } from './store/uploads.ts';

/** How {@link storeConformance} treats the stores that it opens. */
export interface StoreConformanceOptions {
  /**
   * Called after each test, passed or failed, with the store that `open` returned: closes it and removes what the test
   * left.
   * @default `store.close()`
   */
  readonly close?: (store: Store) => Promise<void>;
}

const PARTS: readonly (readonly [title: string, define: (check: Check) => void])[] = [
  ['whole objects', wholeObjects],
  ['ranges and streams', rangesAndStreams],
  ['conditions', conditions],
  ['lists', lists],
  ['writes in parts', uploads],
  ['scoped', scopes],
];

/**
 * Defines the tests of the storage contract for one kind of store, as suites of `node:test`. Call it at the top level of a
 * test file, or inside `describe`.
 *
 * The tests write some tens of MiB and 2,300 small objects. They cover what every operation on a replica relies on:
 * atomic writes, conditions under a race, order of lists, exact ranges, uploads in parts, and the kind and code of each
 * error. They do not cover durability, nor what a store does while its network or its disk fails.
 *
 * ```ts
 * // my-store.test.ts, run by: node --test
 * import { storeConformance } from 'seawall/testing';
 * import { myStore } from './my-store.ts';
 *
 * let opened = 0;
 * storeConformance('my store', async () => myStore(`test-bucket/run-${opened++}`));
 * ```
 *
 * @param name what the suites are called; each appends its part: `my store: conditions`
 * @param open opens a store for one test: empty, and shared with no other test
 */
export function storeConformance(
  name: string,
  open: () => Promise<Store>,
  options: StoreConformanceOptions = {},
): void {
  const { close = (store: Store) => store.close() } = options;
  const check: Check = (title, body) => {
    test(title, async () => {
      const store = await open();
      try {
        await body(store);
      } finally {
        await close(store);
      }
    });
  };
  for (const [title, define] of PARTS) {
    describe(`${name}: ${title}`, () => {
      define(check);
    });
  }
}
