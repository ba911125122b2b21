/** The database at the end of a commit. */
export interface DatabaseState {
  /** Pages of the database. */
  readonly pages: number;
  /** Database checksum: the XOR of its page hashes, 64 bits. */
  readonly checksum: bigint;
  /** When the commit was captured, milliseconds since 1970; never less than that of an earlier commit. */
  readonly time: number;
}
