import type { StoredBody } from './body-store.ts';
import type { ChecksumAlgorithm, ChecksumType, ObjectChecksum } from './checksum.ts';

// What the server keeps beside the bytes. All of it is plain data, because the journal holds it, too.

export type Versioning = 'Unversioned' | 'Enabled' | 'Suspended';

export interface StoredObject {
  readonly kind: 'object';
  readonly key: string;
  readonly versionId: string;
  readonly body: StoredBody;
  /** Without quotes. */
  readonly etag: string;
  /** Milliseconds since the epoch. */
  readonly lastModified: number;
  /** Content-Type and its like, and x-amz-meta-*, as they are sent back. */
  readonly headers: Readonly<Record<string, string>>;
  readonly storageClass: string;
  readonly checksum?: ObjectChecksum;
}

export interface DeleteMarker {
  readonly kind: 'delete-marker';
  readonly key: string;
  readonly versionId: string;
  readonly lastModified: number;
}

export type ObjectVersion = StoredObject | DeleteMarker;

export interface UploadedPart {
  readonly partNumber: number;
  readonly body: StoredBody;
  readonly etag: string;
  readonly lastModified: number;
  readonly checksum?: string;
}

export interface UploadRecord {
  readonly uploadId: string;
  readonly key: string;
  readonly initiated: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly storageClass: string;
  readonly checksum?: { readonly algorithm: ChecksumAlgorithm; readonly type: ChecksumType };
}

/** A step from one state of the server to the next. The journal is a list of these. */
export type Change =
  | { readonly type: 'bucket'; readonly bucket: string; readonly versioning: Versioning }
  | { readonly type: 'bucket-removed'; readonly bucket: string }
  | { readonly type: 'version'; readonly bucket: string; readonly version: ObjectVersion }
  | { readonly type: 'version-removed'; readonly bucket: string; readonly key: string; readonly versionId: string }
  | { readonly type: 'upload'; readonly bucket: string; readonly upload: UploadRecord }
  | { readonly type: 'part'; readonly bucket: string; readonly uploadId: string; readonly part: UploadedPart }
  | { readonly type: 'upload-ended'; readonly bucket: string; readonly uploadId: string };
