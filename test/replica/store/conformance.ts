/**
 * The storage contract (replica/store/store.ts) as tests: every backend runs all of them, and each can fail.
 */
import { describe, test } from 'node:test';
import type { Store } from '../../../replica/store/store.ts';
import type { Check } from './conformance/check.ts';
import { wholeObjects } from './conformance/objects.ts';
import { rangesAndStreams } from './conformance/ranges.ts';
import { conditions } from './conformance/conditions.ts';
import { lists } from './conformance/lists.ts';
import { uploads } from './conformance/uploads.ts';
import { scopes } from './conformance/scopes.ts';

export interface OpenedStore {
  /** Empty, and no other test's. */
  readonly store: Store;
  readonly close: () => Promise<void>;
}

export function storeConformance(name: string, open: () => Promise<OpenedStore>): void {
  const check: Check = (title, body) => {
    test(title, async () => {
      const { store, close } = await open();
      try {
        await body(store);
      } finally {
        await close();
      }
    });
  };

  describe(`${name}: whole objects`, () => {
    wholeObjects(check);
  });
  describe(`${name}: ranges and streams`, () => {
    rangesAndStreams(check);
  });
  describe(`${name}: conditions`, () => {
    conditions(check);
  });
  describe(`${name}: lists`, () => {
    lists(check);
  });
  describe(`${name}: writes in parts`, () => {
    uploads(check);
  });
  describe(`${name}: scoped`, () => {
    scopes(check);
  });
}
