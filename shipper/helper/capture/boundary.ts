/** The place in a life of the WAL file at which the present index of the replica begins. */
export interface Boundary {
  readonly salt1: number;
  readonly salt2: number;
  /** Frames of that life that belong to older history. */
  readonly frames: number;
  /** Whether they are all in the database file, and the pin stands on that alone. */
  readonly sealed: boolean;
}
