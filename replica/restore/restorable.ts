/**
 * A state that was chosen to be restored, whatever the format of the replica it lies in. Everything that restores
 * stands on this: to a file, to an object, to nowhere.
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
  /** As one would ask for it; where the end of an index is not known before its WAL is read, only roughly. */
  readonly position: string;
  /** When the state was captured, milliseconds since 1970; by the store's clock if nothing recorded it. */
  readonly time: number;
  /** What a restore will prove. */
  readonly proof: Proof;
  /** What was found damaged on the way and does not matter to this state, in words. */
  readonly warnings: readonly string[];
  /** The object that holds a whole database to begin with. */
  readonly base: {
    /** Its key, relative to the replica. */
    readonly key: string;
    /** Bytes stored. */
    readonly size: number;
  };
  /** Other objects to be read. */
  readonly more: {
    /** How many. */
    readonly objects: number;
    /** Bytes stored. */
    readonly bytes: number;
  };
  /**
   * In blocks, in order.
   *
   * @param memory bytes of pages held at a time
   */
  open(memory?: number): Promise<Image>;
  /** Into a file, in whatever order is quickest. */
  toFile(): Promise<FileImage>;
  /** The same for reading single pages. */
  pages(options?: OpenAtOptions): Promise<PastState>;
  /** Permissions and owner of the original, if they were recorded. */
  owner(): Promise<FileOwner | undefined>;
}

/** A state that is ready to be written into a file. */
export interface FileImage {
  /** How large it will be; undefined if another program's snapshot does not say. */
  readonly bytes: number | undefined;
  /** Writes into an empty file, which is worth nothing unless this returns. */
  readonly write: (file: PageFile, options: ImageWriteOptions) => Promise<WrittenState>;
}

/** A state that was written into a file. */
export interface WrittenState extends ImageResult {
  /** Bytes. */
  readonly pageSize: number;
  /** The exact end of what is applied. */
  readonly position: string;
}
