/**
 * One committed state of a database's past, open for reading single pages: what lies in a bucket in any format, seen as
 * the database file it stands for.
 */
export interface PastState {
  /** Which state: `generation/index/offset`, or how the format at hand spells its positions. */
  readonly position: string;
  /** When it was captured, milliseconds since 1970; by the store's clock where nothing recorded it. */
  readonly time: number;
  /** Bytes. */
  readonly pageSize: number;
  /** Pages of the database. */
  readonly pages: number;

  /**
   * The page's bytes, the caller's to keep; page 1 is the first. Throws RangeError for a page that the database does not
   * have, `corrupt` with the key of an object that is damaged, `missing` when one was deleted meanwhile, `unreachable`.
   */
  readPage(page: number): Promise<Buffer>;

  /** Pages `first` to `first + count − 1`, one after the other: so many pages times the page size are held in memory. */
  readPages(first: number, count: number): Promise<Buffer>;

  /** Frees what is held; reading throws TypeError from then on. The store stays open, it is the caller's. */
  close(): Promise<void>;
}

/** Throws RangeError unless pages `first` to `first + count − 1` are pages of the state. */
export function assertPages(state: Pick<PastState, 'pages' | 'position'>, first: number, count: number): void {
  const whole = Number.isSafeInteger(first) && Number.isSafeInteger(count) && first >= 1 && count >= 0;
  if (whole && first - 1 + count <= state.pages) return;
  const asked = count === 1 ? `page ${first}` : `${count} pages from page ${first} on`;
  throw new RangeError(`the database at ${state.position} has pages 1 to ${state.pages}, not ${asked}`);
}
