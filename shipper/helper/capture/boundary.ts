/**
 * The place in the WAL at which the present index of the replica begins. The salts name a life of the WAL: the time
 * from one restart to the next.
 */
export interface Boundary {
  readonly salt1: number;
  readonly salt2: number;
  /** Frames of that life that belong to earlier indexes. */
  readonly frames: number;
  /** Whether all of them are in the database file, so that the pin stands on the file alone. */
  readonly sealed: boolean;
}
