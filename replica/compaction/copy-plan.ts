/**
 * Chooses which runs of unchanged blocks the store itself copies from an object into its successor, so that as few bytes
 * as possible pass through this process. Pure.
 *
 * The new object alternates between stretches that are written and ranges that are copied. In S3, every part but the
 * last must have at least 5 MiB (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html). So a run is also
 * written if it is too short to be a part, or if a short stretch beside it needs its blocks to become one.
 */

export interface CopyProblem {
  /** Stored bytes of each block; an estimate if the block is yet to be encoded. */
  readonly lengths: ArrayLike<number>;
  /** Whether the block is in the old object as it will be in the new one. */
  readonly unchanged: (block: number) => boolean;
  /** The first block that is still to be placed. */
  readonly from: number;
  /** Bytes that are already written before it, since the last copied range. */
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
 * The ranges to copy, ascending; all other blocks are written. No other choice of whole blocks moves fewer bytes. Each
 * range, and each stretch before one, has at least `least` bytes. What follows the last range may be shorter, because
 * the object's last part may be.
 */
export function planCopies(problem: CopyProblem): BlockRange[] {
  const { lengths, unchanged, from, open, least } = problem;
  const count = lengths.length - from;
  /** Bytes before each place, including those already written. */
  const before = new Float64Array(count + 1);
  /** Bytes of unchanged blocks before each place: what writing everything up to it would move needlessly. */
  const needless = new Float64Array(count + 1);
  before[0] = open;
  for (let i = 0; i < count; i++) {
    const length = lengths[from + i]!;
    before[i + 1] = before[i]! + length;
    needless[i + 1] = needless[i]! + (unchanged(from + i) ? length : 0);
  }

  /** Fewest bytes moved needlessly before a place at which a range ends, and where that range begins. */
  const ended = new Float64Array(count + 1).fill(Infinity);
  const rangeStart = new Int32Array(count + 1);
  /** The same for a place at which a written stretch ends that is long enough to be a part; where that stretch begins. */
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
      const value = ended[nextEnd]! - needless[nextEnd]!;
      if (value < bestEnd.value) bestEnd = { value, place: nextEnd };
    }
    written[place] = bestEnd.value + needless[place]!;
    stretchStart[place] = bestEnd.place;
  }

  let last = 0;
  for (let place = 1; place <= count; place++) {
    if (ended[place]! - needless[place]! < ended[last]! - needless[last]!) last = place;
  }
  const ranges: BlockRange[] = [];
  for (let end = last; end > 0; end = stretchStart[rangeStart[end]!]!) {
    ranges.push({ first: from + rangeStart[end]!, end: from + end });
  }
  return ranges.reverse();
}
