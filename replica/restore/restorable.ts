/**
 * A state that was chosen to be restored, the same for every format of replica. Restores to a file, restores to an
 * object, drills and reads of single pages all start from it.
 */
import type { FileOwner } from '../format/snapshot.ts';
import type { Image } from '../image/image.ts';
import type { ImageResult, Proof } from '../image/image-proof.ts';
import type { ImageWriteOptions } from '../image/to-file/image-writer.ts';
import type { OpenAtOptions } from '../image/by-page/page-reader.ts';
import type { PastState } from '../image/by-page/past-state.ts';
import type { PageFile } from '../image/to-file/target-file.ts';

/** A state that {@link choose} found, ready to be restored or read. */
export interface Restorable {
  /** The state, written as a target. It is approximate if the end of its index is known only once the WAL is read. */
  readonly position: string;
  /** When the state was captured, milliseconds since 1970; by the store's clock if nothing recorded it. */
  readonly time: number;
  /** What a restore will prove. */
  readonly proof: Proof;
  /** Damage that was found and does not affect this state, in words. */
  readonly warnings: readonly string[];
  /** The object with a whole database that the restore starts from. */
  readonly base: {
    /** Its key, relative to the replica. */
    readonly key: string;
    /** Bytes stored. */
    readonly size: number;
  };
  /** The other objects that the restore reads. */
  readonly more: {
    /** How many. */
    readonly objects: number;
    /** Bytes stored. */
    readonly bytes: number;
  };
  /**
   * Opens the state as blocks, in order.
   *
   * @param memory bytes of pages held at a time
   */
  open(memory?: number): Promise<Image>;
  /** Prepares to write the state into a file, in the order that is fastest. */
  toFile(): Promise<FileImage>;
  /** Opens the state for reading single pages. */
  pages(options?: OpenAtOptions): Promise<PastState>;
  /** Permissions and owner of the original, if they were recorded. */
  owner(): Promise<FileOwner | undefined>;
}

/** A state that is ready to be written into a file. */
export interface FileImage {
  /** How large it will be; undefined if another program's snapshot does not say. */
  readonly bytes: number | undefined;
  /** Writes into an empty file. The file is usable only if this returns. */
  readonly write: (file: PageFile, options: ImageWriteOptions) => Promise<WrittenState>;
}

/** A state that was written into a file. */
export interface WrittenState extends ImageResult {
  /** Bytes. */
  readonly pageSize: number;
  /** The exact end of what is applied. */
  readonly position: string;
}
