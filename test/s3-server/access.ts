import { OPERATION_ACTIONS } from './operation.ts';
import type { RequestTarget } from './request.ts';
import { S3Error } from './s3-error.ts';

/** The permissions of one access key. */
export interface Identity {
  /**
   * Evaluates a policy. `action` is an IAM action such as `s3:PutObject`; `key` is empty for actions on the bucket.
   * Headers (lower-case names) and query are those of the request, for condition keys such as `s3:if-none-match` and
   * `s3:prefix`.
   */
  readonly allow: (
    action: string,
    bucket: string,
    key: string,
    headers: Readonly<Record<string, string>>,
    query: URLSearchParams,
  ) => boolean;
  /** The key's session has ended: every request is answered with ExpiredToken. Read at each request. */
  readonly expired?: boolean;
}

/** By access key id. Signatures are not verified: the key id alone is enough. */
export type Access = Readonly<Record<string, Identity>>;

type May = (action: string, bucket: string, key: string) => boolean;

/** The caller, by the access key that the request names. */
export function accessKeyId(target: RequestTarget): string | undefined {
  const authorization = target.headers['authorization'] ?? '';
  return (
    /Credential=([^/,\s]+)/.exec(authorization)?.[1] ??
    /^AWS ([^:\s]+):/.exec(authorization)?.[1] ??
    target.query.get('X-Amz-Credential')?.split('/')[0]
  );
}

function rejectExpiredUrl(query: URLSearchParams, now: number): void {
  const date = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(query.get('X-Amz-Date') ?? '');
  if (!query.has('X-Amz-Signature') || !date) return;
  const [year = 0, month = 1, day = 0, hour = 0, minute = 0, second = 0] = date.slice(1).map(Number);
  const lifetime = Number(query.get('X-Amz-Expires') ?? 0) * 1000;
  if (now > Date.UTC(year, month - 1, day, hour, minute, second) + lifetime) {
    throw new S3Error('AccessDenied', {}, 'Request has expired');
  }
}

/**
 * Checks that the caller may do the request. Returns a function that asks the same about other keys of the operation.
 * @throws {S3Error} AccessDenied, InvalidAccessKeyId, ExpiredToken
 */
export function authorize(access: Access | undefined, target: RequestTarget, now: number): May {
  rejectExpiredUrl(target.query, now);
  if (!access) return () => true;
  const id = accessKeyId(target);
  if (id === undefined) throw new S3Error('AccessDenied');
  const identity = Object.hasOwn(access, id) ? access[id] : undefined;
  if (!identity) throw new S3Error('InvalidAccessKeyId', { AWSAccessKeyId: id });
  if (identity.expired) throw new S3Error('ExpiredToken');

  const may: May = (action, bucket, key) => identity.allow(action, bucket, key, target.headers, target.query);
  // The keys of DeleteObjects are in its body; the operation asks for each of them itself.
  if (target.op === 'DeleteObjects') return may;
  for (const action of actionsOf(target)) {
    if (!may(action, target.bucket, target.key)) throw new S3Error('AccessDenied');
  }
  return may;
}

function actionsOf({ op, query, headers }: RequestTarget): string[] {
  const isVersioned = query.has('versionId');
  if (op === 'GetObject' || op === 'HeadObject') return [isVersioned ? 's3:GetObjectVersion' : 's3:GetObject'];
  const action = op === 'DeleteObject' && isVersioned ? 's3:DeleteObjectVersion' : OPERATION_ACTIONS[op];
  // Comparing with an ETag reveals something about the object, so S3 requires the right to read it.
  const compares = headers['if-match'] !== undefined && headers['if-match'] !== '*';
  return compares && /^s3:(Put|Delete)Object/.test(action) ? [action, 's3:GetObject'] : [action];
}
