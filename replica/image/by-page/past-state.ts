/**
 * One committed state of a database's past, open for reading single pages: the database file, whatever the format in
 * which the bucket holds it.
 */
export interface PastState {
  /** Which state: `generation/index/offset`, or a position as the replica's own format writes it. */
  readonly position: string;
  /** When it was captured, milliseconds since 1970; by the store's clock if nothing recorded it. */
  readonly time: number;
  /** Bytes. */
  readonly pageSize: number;
  /** Pages of the database. */
  readonly pages: number;

  /**
   * The page's bytes, which the caller may keep; page 1 is the first. Throws RangeError for a page that the database does
   * not have, `corrupt` with the key of a damaged object, `missing` if an object was deleted meanwhile, `unreachable`.
   */
  readPage(page: number): Promise<Buffer>;

  /** Pages `first` to `first + count − 1` in one buffer: `count` times the page size is held in memory. */
  readPages(first: number, count: number): Promise<Buffer>;

  /** Frees what is held; from then on, reading throws TypeError. The store belongs to the caller and stays open. */
  close(): Promise<void>;
}

/** Throws RangeError unless pages `first` to `first + count − 1` are pages of the state. */
export function assertPages(state: Pick<PastState, 'pages' | 'position'>, first: number, count: number): void {
  const whole = Number.isSafeInteger(first) && Number.isSafeInteger(count) && first >= 1 && count >= 0;
  if (whole && first - 1 + count <= state.pages) return;
  const asked = count === 1 ? `page ${first}` : `${count} pages from page ${first} on`;
  throw new RangeError(`the database at ${state.position} has pages 1 to ${state.pages}, not ${asked}`);
}
