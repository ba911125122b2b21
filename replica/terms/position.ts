/**
 * Positions: where in a database's history a state lies.
 *
 * A position names the end of what has been applied: all frames of WAL index `index` before byte `offset`, after
 * everything older. `offset` 0 means nothing of that index yet: the state its snapshot holds. Written
 * `generation/index/offset`, sixteen, eight and eight lowercase hex digits, it sorts as a string within a generation.
 */
export interface Position {
  /** Sixteen lowercase hex digits. */
  readonly generation: string;
  /** Which life of the WAL file, counted from 0 in each generation. */
  readonly index: number;
  /** Bytes from the start of the WAL file, its 32-byte header included. */
  readonly offset: number;
}

/** A position whose generation is known from the context. */
export type Place = Pick<Position, 'index' | 'offset'>;

/** The largest WAL index: eight hex digits. */
export const MAX_INDEX = 0xffff_ffff;

const GENERATION = /^[0-9a-f]{16}$/;
const POSITION = /^([0-9a-f]{16})\/([0-9a-f]{8})\/([0-9a-f]{8,11})$/;

/** Whether a text is a generation: sixteen lowercase hex digits. */
export function isGeneration(text: string): boolean {
  return GENERATION.test(text);
}

/** An index or offset as eight lowercase hex digits, or more from 4 GiB on. @throws RangeError unless it is a whole number from 0 */
export function hex8(value: number): string {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an index or offset: ${value}`);
  return value.toString(16).padStart(8, '0');
}

/**
 * Writes a position as `generation/index/offset`. Throws a RangeError for an index or offset that is no whole number.
 */
/** `generation/index/offset`; see {@link Position}. */
export function formatPosition(position: Position): string {
  return `${position.generation}/${hex8(position.index)}/${hex8(position.offset)}`;
}

/** The inverse of {@link formatPosition}. Undefined for any other text, so that callers can name the option in their error. */
export function parsePosition(text: string): Position | undefined {
  const match = POSITION.exec(text);
  if (match === null) return undefined;
  const [, generation = '', index = '', offset = ''] = match;
  const position = { generation, index: Number.parseInt(index, 16), offset: Number.parseInt(offset, 16) };
  return formatPosition(position) === text ? position : undefined;
}

/** Orders places within one generation; positions of different generations have no order of their own. */
export function comparePlaces(a: Place, b: Place): number {
  return a.index - b.index || a.offset - b.offset;
}
