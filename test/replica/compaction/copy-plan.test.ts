/** The plan of what is copied: it keeps to the limits, and no other moves fewer bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { planCopies, type BlockRange, type CopyProblem } from '../../../replica/compaction/copy-plan.ts';

interface Case {
  readonly blocks: readonly { readonly length: number; readonly unchanged: boolean }[];
  readonly from: number;
  readonly open: number;
  readonly least: number;
}

function problem({ blocks, from, open, least }: Case): CopyProblem {
  return {
    lengths: blocks.map(({ length }) => length),
    unchanged: (block) => blocks[block]!.unchanged,
    from: Math.min(from, blocks.length),
    open,
    least,
  };
}

function cases(most: number): fc.Arbitrary<Case> {
  return fc.record({
    blocks: fc.array(fc.record({ length: fc.integer({ min: 1, max: 9 }), unchanged: fc.boolean() }), {
      maxLength: most,
    }),
    from: fc.integer({ min: 0, max: 3 }),
    open: fc.integer({ min: 0, max: 12 }),
    least: fc.integer({ min: 1, max: 14 }),
  });
}

/** Undefined when the plan breaks a limit, else the unchanged bytes that are written. */
function vainBytes({ lengths, unchanged, from, open, least }: CopyProblem, ranges: readonly BlockRange[]) {
  let vain = 0;
  let stretch = open;
  let block = from;
  const bytes = (first: number, end: number): number => {
    let total = 0;
    for (let each = first; each < end; each++) total += lengths[each]!;
    return total;
  };
  for (const { first, end } of [...ranges, undefined].map((range) => range ?? { first: lengths.length, end: 0 })) {
    if (first < block) return undefined;
    stretch += bytes(block, first);
    for (; block < first; block++) if (unchanged(block)) vain += lengths[block]!;
    if (end === 0) return vain;
    if (stretch < least || bytes(first, end) < least || end > lengths.length) return undefined;
    for (; block < end; block++) if (!unchanged(block)) return undefined;
    stretch = 0;
  }
  return vain;
}

/** Every choice of ranges. */
function* choices(from: number, count: number): Generator<BlockRange[]> {
  yield [];
  for (let first = from; first < count; first++) {
    for (let end = first + 1; end <= count; end++) {
      for (const rest of choices(end, count)) yield [{ first, end }, ...rest];
    }
  }
}

test('a plan copies unchanged blocks only, in order, and keeps every part but the last above the least size', () => {
  fc.assert(
    fc.property(cases(60), (each) => {
      const given = problem(each);
      assert.notEqual(vainBytes(given, planCopies(given)), undefined);
    }),
    { numRuns: 2000 },
  );
});

test('no choice of blocks moves fewer bytes than the plan', () => {
  fc.assert(
    fc.property(cases(8), (each) => {
      const given = problem(each);
      let fewest = Infinity;
      for (const ranges of choices(given.from, given.lengths.length)) {
        fewest = Math.min(fewest, vainBytes(given, ranges) ?? Infinity);
      }
      assert.equal(vainBytes(given, planCopies(given)), fewest);
    }),
    { numRuns: 400 },
  );
});

test('a plan for millions of blocks is made at once', () => {
  const count = 2_000_000;
  const lengths = new Float64Array(count).fill(400_000);
  const ranges = planCopies({
    lengths,
    unchanged: (block) => block % 100 !== 0,
    from: 0,
    open: 143,
    least: 5 << 20,
  });
  assert.equal(ranges.length, count / 100);
});
