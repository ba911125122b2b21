/** The database at the end of a commit. */
export interface DatabaseState {
  readonly pages: number;
  readonly checksum: bigint;
  /** When the commit was captured, milliseconds since 1970; never less than that of an earlier commit. */
  readonly time: number;
}
