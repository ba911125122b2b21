import { randomBytes } from 'node:crypto';
import type { BodyStore, StoredBody } from './body-store.ts';
import { Bucket, Upload } from './bucket.ts';
import { checkWriteConditions, type WriteConditions } from './conditions.ts';
import type { ObjectEvents } from './events.ts';
import { Journal } from './journal.ts';
import type { Change, ObjectVersion, StoredObject, UploadedPart, UploadRecord, Versioning } from './records.ts';
import { S3Error } from './s3-error.ts';

export type CreatingOperation = 'PutObject' | 'CompleteMultipartUpload' | 'CopyObject';

/** One line of the history of mutations. */
export interface Mutation {
  readonly op: CreatingOperation | 'DeleteObject' | 'DeleteObjects';
  readonly bucket: string;
  readonly key: string;
  /** Of the object made, or of the one deleted; `undefined` when there was none to delete. */
  readonly etag: string | undefined;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

const EVENT_NAMES = {
  PutObject: 'ObjectCreated:Put',
  CompleteMultipartUpload: 'ObjectCreated:CompleteMultipartUpload',
  CopyObject: 'ObjectCreated:Copy',
} as const satisfies Record<CreatingOperation, string>;

/**
 * The buckets, objects and uploads of a server. Every mutation checks its conditions and is carried out within one
 * synchronous call, which is what makes mutations of a key atomic: of twenty racing creations one finds no object.
 */
export class Catalog {
  readonly buckets = new Map<string, Bucket>();
  readonly history: Mutation[] = [];
  readonly overwrites: { bucket: string; key: string }[] = [];
  readonly #bodies: BodyStore;
  readonly #events: ObjectEvents;
  readonly #now: () => number;
  #journal: Journal | undefined;
  #uploadCount = 0;

  constructor(bodies: BodyStore, events: ObjectEvents, now: () => number) {
    this.#bodies = bodies;
    this.#events = events;
    this.#now = now;
  }

  /** Takes over what an earlier run left in its journal, and goes on with that. */
  openJournal(path: string): void {
    for (const change of Journal.read(path)) this.#apply(change);
    const state = [...this.buckets.values()].flatMap((bucket) => [...bucket.asChanges()]);
    const live = new Set<string>();
    for (const change of state) {
      if (change.type === 'version' && change.version.kind === 'object') live.add(change.version.body.id);
      if (change.type === 'part') live.add(change.part.body.id);
    }
    this.#bodies.removeAllBut(live);
    this.#journal = Journal.start(path, state);
  }

  close(): void {
    this.#journal?.close();
  }

  /** @throws {S3Error} NoSuchBucket */
  bucket(name: string): Bucket {
    const bucket = this.buckets.get(name);
    if (!bucket) throw new S3Error('NoSuchBucket', { BucketName: name });
    return bucket;
  }

  /** @throws {S3Error} NoSuchUpload also when the upload is another key's */
  upload(bucket: string, key: string, uploadId: string): Upload {
    const upload = this.bucket(bucket).uploads.get(uploadId);
    if (upload?.record.key !== key) throw new S3Error('NoSuchUpload', { UploadId: uploadId });
    return upload;
  }

  setBucket(name: string, versioning: Versioning): void {
    this.#commit([{ type: 'bucket', bucket: name, versioning }]);
  }

  removeBucket(name: string): void {
    if (this.bucket(name).versions.size > 0) throw new S3Error('BucketNotEmpty', { BucketName: name });
    this.#commit([{ type: 'bucket-removed', bucket: name }]);
  }

  /**
   * Makes an object, in place of or on top of the present one, and ends the upload it came from.
   * @throws {S3Error} PreconditionFailed or NoSuchKey when a condition does not hold; the body is then not taken over
   */
  create(
    op: CreatingOperation,
    bucketName: string,
    draft: Omit<StoredObject, 'kind' | 'versionId' | 'lastModified'>,
    conditions: WriteConditions,
    endedUpload?: string,
  ): StoredObject {
    const bucket = this.bucket(bucketName);
    const previous = bucket.current(draft.key);
    checkWriteConditions(conditions, draft.key, previous);
    const isOverwrite = previous !== undefined && !this.#bodies.sameBytes(previous.body, draft.body);
    const versionId = bucket.versioning === 'Enabled' ? randomBytes(16).toString('hex') : 'null';
    const object: StoredObject = { ...draft, kind: 'object', versionId, lastModified: this.#now() };
    const changes: Change[] = [{ type: 'version', bucket: bucketName, version: object }];
    if (endedUpload !== undefined) {
      changes.push({ type: 'upload-ended', bucket: bucketName, uploadId: endedUpload });
    }
    this.#commit(changes);
    if (isOverwrite) this.overwrites.push({ bucket: bucketName, key: draft.key });
    this.#record(op, bucketName, draft.key, object.etag);
    this.#events.publish(EVENT_NAMES[op], bucketName, object, bucket.versioning !== 'Unversioned');
    return object;
  }

  /**
   * Deletes as S3 does: a named version for good; else the object, or in a versioned bucket it is covered by a marker.
   * @returns the version removed, or the marker made; `undefined` when there was nothing to delete
   */
  delete(
    op: 'DeleteObject' | 'DeleteObjects',
    bucketName: string,
    key: string,
    versionId: string | undefined,
    conditions: WriteConditions,
  ): { readonly version: ObjectVersion; readonly isNewMarker: boolean } | undefined {
    const bucket = this.bucket(bucketName);
    const current = bucket.current(key);
    checkWriteConditions(conditions, key, current);
    if (versionId === undefined && bucket.versioning !== 'Unversioned') {
      const marker: ObjectVersion = {
        kind: 'delete-marker',
        key,
        versionId: bucket.versioning === 'Enabled' ? randomBytes(16).toString('hex') : 'null',
        lastModified: this.#now(),
      };
      this.#commit([{ type: 'version', bucket: bucketName, version: marker }]);
      this.#record(op, bucketName, key, current?.etag);
      return { version: marker, isNewMarker: true };
    }
    const version = bucket.version(key, versionId ?? 'null');
    this.#record(op, bucketName, key, version?.kind === 'object' ? version.etag : undefined);
    if (!version) return undefined;
    this.#commit([{ type: 'version-removed', bucket: bucketName, key, versionId: version.versionId }]);
    return { version, isNewMarker: false };
  }

  startUpload(bucket: string, draft: Omit<UploadRecord, 'uploadId' | 'initiated'>): UploadRecord {
    const initiated = this.#now();
    // Sorts by time of initiation, which is how S3 lists the uploads of one key.
    const counted = `${initiated.toString(16).padStart(12, '0')}${(++this.#uploadCount).toString(16).padStart(8, '0')}`;
    const upload = { ...draft, initiated, uploadId: `${counted}${randomBytes(8).toString('hex')}` };
    this.#commit([{ type: 'upload', bucket, upload }]);
    return upload;
  }

  addPart(bucket: string, uploadId: string, draft: Omit<UploadedPart, 'lastModified'>): UploadedPart {
    const part: UploadedPart = { ...draft, lastModified: this.#now() };
    this.#commit([{ type: 'part', bucket, uploadId, part }]);
    return part;
  }

  abortUpload(bucket: string, uploadId: string): void {
    this.#commit([{ type: 'upload-ended', bucket, uploadId }]);
  }

  /** Puts other bytes under an object behind everyone's back: its ETag and time stay, as when a disk decays. */
  corrupt(bucketName: string, key: string, bytes: Uint8Array): void {
    const object = this.bucket(bucketName).current(key);
    if (!object) throw new S3Error('NoSuchKey', { Key: key });
    const rest = { ...object };
    delete rest.checksum;
    this.#commit([
      { type: 'version-removed', bucket: bucketName, key, versionId: object.versionId },
      { type: 'version', bucket: bucketName, version: { ...rest, body: this.#bodies.writeWhole(bytes) } },
    ]);
  }

  #record(op: Mutation['op'], bucket: string, key: string, etag: string | undefined): void {
    this.history.push({ op, bucket, key, etag, at: this.#now() });
  }

  #commit(changes: readonly Change[]): void {
    this.#journal?.append(changes);
    for (const change of changes) for (const body of this.#apply(change)) this.#bodies.remove(body);
  }

  /** Carries a change out. Used for new changes and for those of the journal alike. Returns the bodies it freed. */
  #apply(change: Change): StoredBody[] {
    if (change.type === 'bucket') {
      const bucket = this.buckets.get(change.bucket) ?? new Bucket(change.bucket);
      bucket.versioning = change.versioning;
      this.buckets.set(change.bucket, bucket);
      return [];
    }
    const bucket = this.bucket(change.bucket);
    switch (change.type) {
      case 'bucket-removed':
        this.buckets.delete(change.bucket);
        return [...bucket.uploads.values()].flatMap(bodiesOfUpload);
      case 'version':
        return bodiesOfVersion(bucket.addVersion(change.version));
      case 'version-removed':
        return bodiesOfVersion(bucket.removeVersion(change.key, change.versionId));
      case 'upload':
        bucket.uploads.set(change.upload.uploadId, new Upload(change.upload));
        return [];
      case 'part': {
        const parts = bucket.uploads.get(change.uploadId)?.parts;
        const replaced = parts?.get(change.part.partNumber);
        parts?.set(change.part.partNumber, change.part);
        return replaced ? [replaced.body] : [];
      }
      case 'upload-ended': {
        const upload = bucket.uploads.get(change.uploadId);
        bucket.uploads.delete(change.uploadId);
        return upload ? bodiesOfUpload(upload) : [];
      }
    }
  }
}

function bodiesOfVersion(version: ObjectVersion | undefined): StoredBody[] {
  return version?.kind === 'object' ? [version.body] : [];
}

function bodiesOfUpload(upload: Upload): StoredBody[] {
  return upload.partsInOrder().map((part) => part.body);
}
