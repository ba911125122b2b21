import { KeyIndex } from './key-index.ts';
import type { Change, ObjectVersion, StoredObject, UploadedPart, UploadRecord, Versioning } from './records.ts';

/** An unfinished multipart upload and its parts. */
export class Upload {
  readonly record: UploadRecord;
  readonly parts = new Map<number, UploadedPart>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(record: UploadRecord) {
    this.record = record;
  }

  /**
   * Runs `step` after the steps before it: joining parts takes a while, and no part may be replaced nor the upload
   * be aborted or completed a second time under it.
   */
  inTurn<T>(step: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(step);
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  partsInOrder(): UploadedPart[] {
    return [...this.parts.values()].sort((a, b) => a.partNumber - b.partNumber);
  }
}

export class Bucket {
  readonly name: string;
  versioning: Versioning = 'Unversioned';
  /** Newest version first; never empty. */
  readonly versions = new KeyIndex<ObjectVersion[]>();
  readonly uploads = new Map<string, Upload>();

  constructor(name: string) {
    this.name = name;
  }

  /** The object a plain GET sees: the newest version, unless that is a delete marker. */
  current(key: string): StoredObject | undefined {
    const newest = this.versions.get(key)?.[0];
    return newest?.kind === 'object' ? newest : undefined;
  }

  version(key: string, versionId: string): ObjectVersion | undefined {
    return this.versions.get(key)?.find((version) => version.versionId === versionId);
  }

  uploadsByKey(): KeyIndex<Upload[]> {
    const index = new KeyIndex<Upload[]>();
    for (const upload of this.uploads.values()) {
      const same = index.get(upload.record.key);
      if (same) same.push(upload);
      else index.set(upload.record.key, [upload]);
    }
    return index;
  }

  /** Puts a version on top. One with the same id goes: that is how an unversioned object is replaced. */
  addVersion(added: ObjectVersion): ObjectVersion | undefined {
    const versions = this.versions.get(added.key) ?? [];
    const replaced = versions.find((version) => version.versionId === added.versionId);
    this.versions.set(added.key, [added, ...versions.filter((version) => version !== replaced)]);
    return replaced;
  }

  removeVersion(key: string, versionId: string): ObjectVersion | undefined {
    const removed = this.version(key, versionId);
    const left = (this.versions.get(key) ?? []).filter((version) => version !== removed);
    if (left.length > 0) this.versions.set(key, left);
    else this.versions.delete(key);
    return removed;
  }

  /** The changes that make an empty server hold this bucket. */
  *asChanges(): Generator<Change> {
    const bucket = this.name;
    yield { type: 'bucket', bucket, versioning: this.versioning };
    for (const versions of this.versions.values()) {
      for (const version of versions.toReversed()) yield { type: 'version', bucket, version };
    }
    for (const upload of this.uploads.values()) {
      yield { type: 'upload', bucket, upload: upload.record };
      const { uploadId } = upload.record;
      for (const part of upload.parts.values()) yield { type: 'part', bucket, uploadId, part };
    }
  }
}
