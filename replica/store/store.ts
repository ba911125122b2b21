import type { ReadTicket } from './read-ticket.ts';

/**
 * The storage contract: what the operations on a replica need from a bucket, and nothing more. Three backends implement it
 * (memory, files, S3), and all pass one conformance suite (`seawall/testing`), which any other store can be held to.
 *
 * Keys are relative to the root the store was opened on, use `/`, and never start or end with one.
 * Components are never empty, `.` or `..`. Other keys, ranges that are not whole numbers, and parts outside the limits throw
 * RangeError. Methods throw SeawallError: `missing` (no such object), `conflict` (a condition did not hold), `denied`,
 * `unreachable` (network or server failure, after the backend's own retries), `unsupported`, and `local` for a folder
 * whose disk fails.
 */
export interface Store {
  /** Where this store is, for messages: `file:///…`, `s3://bucket/prefix`, `memory:`. Never holds credentials. */
  readonly url: string;
  /** How large the parts of an upload may be. */
  readonly limits: PartLimits;

  /** Size, ETag and time of one object; undefined if there is none. */
  head(key: string): Promise<ObjectInfo | undefined>;

  /**
   * Reads an object, or a range of it, into memory. The body is exactly as long as was asked; a body that is cut short is
   * `unreachable`, never a short result. The body belongs to the caller, who may release it. A range past the end is an error (`corrupt`, RANGE_BEYOND_OBJECT).
   */
  get(key: string, range?: ByteRange): Promise<StoredObject>;

  /**
   * Reads an object, or a range of it, in pieces of at most 512 KiB, without holding all of it.
   * Resumes after a broken connection and fails if the object changed meanwhile (by ETag).
   */
  stream(key: string, range?: ByteRange): AsyncIterable<Buffer>;

  /**
   * What another thread of this process needs to read a range by itself, once and now (read-ticket.ts). Undefined, or no such
   * method, if the store cannot do this. The object may be missing or too short; reading it fails then.
   */
  ticket?(key: string, range: CopyRange): Promise<ReadTicket | undefined>;

  /** Every object whose key starts with `prefix`, in UTF-8 byte order; with `after`, only keys greater than it. */
  list(prefix: string, after?: string): AsyncIterable<ObjectInfo>;

  /**
   * The distinct next path components below `prefix` (which ends with `/` or is empty) that have objects below them, in
   * byte order, without `/`.
   */
  folders(prefix: string): AsyncIterable<string>;

  /**
   * Writes a whole object atomically: a reader sees all of it or nothing, and it is durable once this resolves.
   * If the condition does not hold, nothing changes and the error is `conflict`, also for `ifMatch` on a missing object.
   *
   * 'absent' succeeds if an object with the same bytes is already there, so a write whose acknowledgement was lost can be
   * repeated. A caller that needs exactly one winner writes bytes that differ. The body must not change before this settles.
   */
  put(key: string, body: Uint8Array, condition?: Condition): Promise<PutResult>;

  /** Starts a write in parts, for objects too large for memory. Nothing is visible before `complete()`. */
  upload(key: string): Promise<Upload>;

  /** Deletes objects. Returns one outcome for each key, in order. Deleting a missing object succeeds. */
  delete(keys: readonly string[]): Promise<DeleteOutcome[]>;

  /**
   * Whether the store honours conditional writes. Tries them on `probeKey`, which stays in place if it cannot be deleted.
   * Some S3-compatible servers ignore the conditions silently.
   */
  probeConditions(probeKey: string): Promise<boolean>;

  /** Unfinished uploads below a prefix, so that what a killed process left behind can be found and aborted. */
  unfinished(prefix: string): AsyncIterable<UnfinishedUpload>;

  /** Frees sockets and handles. The store is unusable afterwards: its methods throw TypeError. */
  close(): Promise<void>;
}

/** What the store allows of uploads in parts. */
export interface PartLimits {
  /** Smallest part, bytes, except the last part of an upload. */
  readonly minPart: number;
  /** Largest part, bytes. */
  readonly maxPart: number;
  /** Largest number of a part. */
  readonly maxParts: number;
  /** Smallest object, bytes, of which a range can be copied into an upload. */
  readonly minCopySource: number;
}

/** What a listing says of one object. */
export interface ObjectInfo {
  /** The object's key, relative to the store's root. */
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Opaque, quoted or not, as the store gives it; changes whenever the bytes do. */
  readonly etag: string;
  /** Milliseconds since 1970, by the store's clock. */
  readonly lastModified: number;
}

/** An object, or a range of one, with its bytes. */
export interface StoredObject {
  /** The bytes asked for. */
  readonly body: Buffer;
  /** As in {@link ObjectInfo}. */
  readonly etag: string;
  /** Size of the whole object, bytes, also when a range was read. */
  readonly size: number;
  /** Milliseconds since 1970, by the store's clock. */
  readonly lastModified: number;
}

/** Which bytes of an object to read. */
export type ByteRange =
  | CopyRange
  | {
      /** The last so many bytes; all of the object when it is shorter. */
      readonly suffix: number;
    };

/** A range of an object that starts at a known byte. */
export interface CopyRange {
  /** First byte. */
  readonly offset: number;
  /** Number of bytes. */
  readonly length: number;
}

/** What must hold for a write: there is no object yet, or it still has this ETag. */
export type Condition =
  | 'absent'
  | {
      /** The ETag that the object must still have. */
      readonly ifMatch: string;
    };

/** What a write answers. */
export interface PutResult {
  /** ETag of what was written. */
  readonly etag: string;
}

/**
 * A write in parts. Parts are numbered from 1 and may arrive in any order and at the same time. Each call names the byte of
 * the object at which the part begins, because a folder writes the part there at once. A part may be written again, at the
 * same byte and with the same length, after the attempt before has ended.
 */
export interface Upload {
  /** The key at which the object will appear. */
  readonly key: string;
  /** Bytes of one part; all but the last part are at least `limits.minPart` long. */
  put(part: number, at: number, body: Uint8Array): Promise<void>;
  /**
   * Fills a part with bytes of an existing object, on the server. Fails with `conflict` unless its ETag is `etag`, and
   * with `corrupt` (RANGE_BEYOND_OBJECT) for a range past its end. The range is not empty.
   */
  copy(part: number, at: number, source: string, range: CopyRange, etag: string): Promise<void>;
  /**
   * Joins the parts in the order of their numbers, which may have gaps, and makes the object visible. Throws RangeError if
   * the parts are not contiguous from byte 0. With 'absent', an object that is already there, whatever its bytes, is
   * `conflict`, and the upload is aborted. `unreachable` with the code STORE_UPLOAD_RESTART means that the upload lost a race
   * and must be started again; after any other failure `complete()` can be repeated.
   */
  complete(condition?: 'absent'): Promise<PutResult>;
  /** Drops all parts. May be called at any time and more than once, also after `complete()`. */
  abort(): Promise<void>;
}

/** What became of one key of a deletion. */
export interface DeleteOutcome {
  /** The key asked for. */
  readonly key: string;
  /** Why this key was not deleted; absent if it is gone. */
  readonly error?: Error;
}

/** An upload in parts that was neither completed nor aborted. */
export interface UnfinishedUpload {
  /** The key it was for. */
  readonly key: string;
  /** The store's name of the upload. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly started: number;
  /** Drops its parts. Succeeds if they are gone already. */
  abort(): Promise<void>;
}
