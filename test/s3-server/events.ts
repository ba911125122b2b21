import type { StoredObject } from './records.ts';

export type CreatedEventName = 'ObjectCreated:Put' | 'ObjectCreated:CompleteMultipartUpload' | 'ObjectCreated:Copy';

/** One record of an S3 event notification, with the fields and spellings of AWS. */
export interface S3EventRecord {
  readonly eventVersion: '2.1';
  readonly eventSource: 'aws:s3';
  readonly awsRegion: string;
  /** ISO 8601 with milliseconds. */
  readonly eventTime: string;
  readonly eventName: CreatedEventName;
  readonly userIdentity: { readonly principalId: string };
  readonly requestParameters: { readonly sourceIPAddress: string };
  readonly responseElements: { readonly 'x-amz-request-id': string; readonly 'x-amz-id-2': string };
  readonly s3: {
    readonly s3SchemaVersion: '1.0';
    readonly configurationId: string;
    readonly bucket: {
      readonly name: string;
      readonly ownerIdentity: { readonly principalId: string };
      readonly arn: string;
    };
    readonly object: {
      /** URL-encoded, with + for spaces. */
      readonly key: string;
      readonly size: number;
      /** Without quotes. */
      readonly eTag: string;
      readonly versionId?: string;
      /** Hexadecimal; of two events on one key, the later has the greater value. */
      readonly sequencer: string;
    };
  };
}

export interface S3Notification {
  readonly Records: readonly S3EventRecord[];
}

export interface EventFilter {
  readonly prefix?: string;
  readonly suffix?: string;
}

type Listener = (notification: S3Notification) => void | Promise<void>;

/** Keys in events are encoded like the values of a form, except for slashes. */
export function encodeEventKey(key: string): string {
  const percent = (char: string): string => `%${char.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(key)
    .replaceAll('%2F', '/')
    .replaceAll('%20', '+')
    .replace(/[!'()~]/g, percent);
}

/** Notifies subscribers of new objects, each once and in order of commit; a test repeats and reorders them itself. */
export class ObjectEvents {
  readonly #subscriptions = new Set<{ bucket: string; filter: EventFilter; id: string; listener: Listener }>();
  readonly #region: string;
  #sequence = 0;

  constructor(region: string) {
    this.#region = region;
  }

  /** @returns a function that ends the subscription; events under way are still delivered */
  subscribe(bucket: string, filter: EventFilter, listener: Listener): () => void {
    const subscription = { bucket, filter, id: `subscription-${String(this.#subscriptions.size + 1)}`, listener };
    this.#subscriptions.add(subscription);
    return () => void this.#subscriptions.delete(subscription);
  }

  publish(eventName: CreatedEventName, bucket: string, object: StoredObject, isVersioned: boolean): void {
    const sequencer = (0x60_0000_0000_0000 + ++this.#sequence).toString(16).toUpperCase().padStart(16, '0');
    for (const { bucket: wanted, filter, id, listener } of this.#subscriptions) {
      if (wanted !== bucket) continue;
      if (!object.key.startsWith(filter.prefix ?? '') || !object.key.endsWith(filter.suffix ?? '')) continue;
      const record: S3EventRecord = {
        eventVersion: '2.1',
        eventSource: 'aws:s3',
        awsRegion: this.#region,
        eventTime: new Date(object.lastModified).toISOString(),
        eventName,
        userIdentity: { principalId: 'AWS:TEST' },
        requestParameters: { sourceIPAddress: '127.0.0.1' },
        responseElements: { 'x-amz-request-id': sequencer, 'x-amz-id-2': 'test' },
        s3: {
          s3SchemaVersion: '1.0',
          configurationId: id,
          bucket: { name: bucket, ownerIdentity: { principalId: 'TEST' }, arn: `arn:aws:s3:::${bucket}` },
          object: {
            key: encodeEventKey(object.key),
            size: object.body.size,
            eTag: object.etag,
            ...(isVersioned && { versionId: object.versionId }),
            sequencer,
          },
        },
      };
      // Sent later, as S3 does: a listener sees the object, and cannot delay or break the request that made it.
      setImmediate(() => void listener({ Records: [record] }));
    }
  }
}
