/**
 * Which runs of unchanged blocks of an object the store itself copies into its successor, so that as few bytes as
 * possible pass through this process. Pure.
 *
 * The new object is an alternation of stretches that are written and ranges that are copied. S3 joins only parts of
 * 5 MiB and more, the last one excepted (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html): a run
 * that is too short to be a part, or that a short stretch beside it needs to become one, is written, too.
 */

export interface CopyProblem {
  /** Stored bytes of each block; estimates where a block is yet to be encoded. */
  readonly lengths: ArrayLike<number>;
  /** Whether the block is in the old object as it will be in the new one. */
  readonly unchanged: (block: number) => boolean;
  /** The first block that is still to be placed. */
  readonly from: number;
  /** Bytes that are already written before it, behind the last copied range. */
  readonly open: number;
  /** Least bytes of a part. */
  readonly least: number;
}

/** Blocks `first` to `end` − 1. */
export interface BlockRange {
  readonly first: number;
  readonly end: number;
}

/**
 * The ranges to copy, ascending; all other blocks are written. No choice of whole blocks moves fewer bytes: each range
 * and each stretch before one has at least `least` bytes. What follows the last range may be shorter, for the object's
 * last part may be.
 */
export function planCopies(problem: CopyProblem): BlockRange[] {
  const { lengths, unchanged, from, open, least } = problem;
  const count = lengths.length - from;
  /** Bytes before each place, those already written included. */
  const before = new Float64Array(count + 1);
  /** Bytes of unchanged blocks before each place: what writing everything up to it would move in vain. */
  const vain = new Float64Array(count + 1);
  before[0] = open;
  for (let i = 0; i < count; i++) {
    const length = lengths[from + i]!;
    before[i + 1] = before[i]! + length;
    vain[i + 1] = vain[i]! + (unchanged(from + i) ? length : 0);
  }

  /** Fewest bytes moved in vain before a place at which a range ends, and where that range begins. */
  const ended = new Float64Array(count + 1).fill(Infinity);
  const rangeStart = new Int32Array(count + 1);
  /** The same for a place at which a written stretch long enough to be a part ends; where the range before it ends. */
  const written = new Float64Array(count + 1).fill(Infinity);
  const stretchStart = new Int32Array(count + 1);
  ended[0] = 0;

  // Both choices look back at the best of all places at least a part away, so each place is looked at once.
  let bestEnd = { value: Infinity, place: 0 };
  let nextEnd = 0;
  let bestStart = { value: Infinity, place: 0 };
  let nextStart = 0;
  for (let place = 0; place <= count; place++) {
    if (place > 0 && unchanged(from + place - 1)) {
      for (; nextStart < place && before[place]! - before[nextStart]! >= least; nextStart++) {
        if (written[nextStart]! < bestStart.value) bestStart = { value: written[nextStart]!, place: nextStart };
      }
      ended[place] = bestStart.value;
      rangeStart[place] = bestStart.place;
    } else {
      bestStart = { value: Infinity, place };
      nextStart = place;
    }
    // What is already written belongs to the first stretch.
    for (; nextEnd <= place && before[place]! - (nextEnd === 0 ? 0 : before[nextEnd]!) >= least; nextEnd++) {
      const value = ended[nextEnd]! - vain[nextEnd]!;
      if (value < bestEnd.value) bestEnd = { value, place: nextEnd };
    }
    written[place] = bestEnd.value + vain[place]!;
    stretchStart[place] = bestEnd.place;
  }

  let last = 0;
  for (let place = 1; place <= count; place++) {
    if (ended[place]! - vain[place]! < ended[last]! - vain[last]!) last = place;
  }
  const ranges: BlockRange[] = [];
  for (let end = last; end > 0; end = stretchStart[rangeStart[end]!]!) {
    ranges.push({ first: from + rangeStart[end]!, end: from + end });
  }
  return ranges.reverse();
}
