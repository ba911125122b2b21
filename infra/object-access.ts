/**
 * Permissions on the objects of a bucket, spelled out action by action and key by key. All of them allow; what is not
 * written here is not allowed. The places are those of the replica's layout (docs/FORMAT.md).
 */
import { Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IBucket } from 'aws-cdk-lib/aws-s3';
import { checkedPrefix } from './settings.ts';

/** Where the restore function leaves its files, from the top of the bucket. */
export const RESTORES = 'restores/';

/** The databases that a permission is about: one by its name, or all below the root. */
export class Databases {
  readonly #bucket: IBucket;
  readonly #folders: readonly string[];
  /** What listings may begin with; undefined for anything. */
  readonly #listed: string | undefined;

  /** All databases below `root`, or the one at `root` + `database`. */
  constructor(bucket: IBucket, root: string, database?: string) {
    this.#bucket = bucket;
    if (database === undefined) {
      // The root itself may be a database, too. A star reaches over slashes.
      this.#folders = [root, `${root}*/`];
      this.#listed = root === '' ? undefined : `${root}*`;
    } else {
      const folder = `${root}${checkedPrefix(database)}/`;
      this.#folders = [folder];
      this.#listed = `${folder}*`;
    }
  }

  /**
   * To list the keys, and so to be told 404 and not 403 of an object that is not there. That question comes with a GET
   * or HEAD, which may carry no prefix, so the condition asks for one only where there is one. The price: a listing of
   * the whole bucket's keys (not of their contents) is allowed, too.
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

  /** To create the claim, and to replace it by those only who say which one they replace. */
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
