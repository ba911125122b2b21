/**
 * Permissions on the objects of a bucket, each for named actions and keys. All of them allow: whatever is not written
 * here is denied. The places are those of the replica's layout (docs/FORMAT.md).
 */
import { Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IBucket } from 'aws-cdk-lib/aws-s3';
import { checkedPrefix } from './settings.ts';

/** Prefix of the files that the restore function makes, from the top of the bucket. */
export const RESTORES = 'restores/';

/** The databases that a permission applies to: one by name, or all below the root. */
export class Databases {
  readonly #bucket: IBucket;
  readonly #folders: readonly string[];
  /** Prefix that listings must have; undefined if any is allowed. */
  readonly #listed: string | undefined;

  /** All databases below `root`, or the one at `root` + `database`. */
  constructor(bucket: IBucket, root: string, database?: string) {
    this.#bucket = bucket;
    if (database === undefined) {
      // The root itself may be a database, too. A star also matches slashes.
      this.#folders = [root, `${root}*/`];
      this.#listed = root === '' ? undefined : `${root}*`;
    } else {
      const folder = `${root}${checkedPrefix(database)}/`;
      this.#folders = [folder];
      this.#listed = `${folder}*`;
    }
  }

  /**
   * To list the keys. Without this permission, a GET or HEAD of a missing object is answered 403 instead of 404. Those
   * requests carry no prefix, so the condition checks the prefix only if there is one. The price: a listing of all keys
   * of the bucket (not of their contents) is allowed, too.
   */
  list(...more: readonly string[]): PolicyStatement {
    return allow(
      ['s3:ListBucket'],
      [this.#bucket.bucketArn],
      this.#listed === undefined ? undefined : { StringLikeIfExists: { 's3:prefix': [this.#listed, ...more] } },
    );
  }

  listUploads(): PolicyStatement {
    return allow(['s3:ListBucketMultipartUploads'], [this.#bucket.bucketArn]);
  }

  read(): PolicyStatement {
    return allow(['s3:GetObject'], this.#at('generations/*', 'seawall/*'));
  }

  /**
   * To create objects that are never replaced: every request that makes an object visible (PutObject,
   * CompleteMultipartUpload) must say If-None-Match; those that only carry parts of one cannot, and need not.
   * https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
   */
  create(keys: 'generations/*' | 'generations/*/snapshots/*'): PolicyStatement[] {
    const resources = this.#at(keys);
    return [
      allow(['s3:PutObject'], resources, { Null: { 's3:if-none-match': 'false' } }),
      allow(['s3:PutObject'], resources, { Bool: { 's3:ObjectCreationOperation': 'false' } }),
      allow(['s3:AbortMultipartUpload'], resources),
    ];
  }

  /** To create the claim, and to replace it only with If-Match, which names the version that is replaced. */
  claim(): PolicyStatement[] {
    const resources = this.#at('seawall/claim');
    return [
      allow(['s3:PutObject'], resources, { Null: { 's3:if-none-match': 'false' } }),
      allow(['s3:PutObject'], resources, { Null: { 's3:if-match': 'false' } }),
    ];
  }

  /** To write, and to replace. */
  put(...keys: readonly string[]): PolicyStatement {
    return allow(['s3:PutObject'], this.#at(...keys));
  }

  delete(...keys: readonly string[]): PolicyStatement {
    return allow(['s3:DeleteObject'], this.#at(...keys));
  }

  abortUploads(): PolicyStatement {
    return allow(['s3:AbortMultipartUpload'], this.#at('generations/*'));
  }

  /** To make restored files, and links to them. */
  restores(): PolicyStatement {
    return allow(
      ['s3:PutObject', 's3:GetObject', 's3:AbortMultipartUpload'],
      [this.#bucket.arnForObjects(`${RESTORES}*`)],
    );
  }

  #at(...keys: readonly string[]): string[] {
    return this.#folders.flatMap((folder) => keys.map((key) => this.#bucket.arnForObjects(folder + key)));
  }
}

function allow(
  actions: readonly string[],
  resources: readonly string[],
  conditions?: Record<string, Record<string, string | readonly string[]>>,
): PolicyStatement {
  return new PolicyStatement({
    effect: Effect.ALLOW,
    actions: [...actions],
    resources: [...resources],
    ...(conditions !== undefined && { conditions }),
  });
}
