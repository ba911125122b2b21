/**
 * Evaluates the policies of a synthesized template the way IAM does, for what these policies use: allow and deny,
 * wildcards in actions and resources, and the conditions Null, Bool, StringEquals, StringLike, StringLikeIfExists and ArnLike. A condition
 * on a key that the request does not carry does not hold, `Null` aside. What is unknown here is an error, not a guess.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
 */
import type { Template } from 'aws-cdk-lib/assertions';
import { flat, resources } from './synthesis.ts';

export interface Statement {
  readonly Effect: 'Allow' | 'Deny';
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

export interface Request {
  readonly action: string;
  readonly resource: string;
  /** Condition keys and their values, such as `s3:if-none-match`. */
  readonly context?: Readonly<Record<string, string>>;
}

/** The statements attached to the role whose logical id begins with `role`. */
export function statementsOf(template: Template, role: string): Statement[] {
  const names = Object.keys(resources(template, 'AWS::IAM::Role')).filter((id) => id.startsWith(role));
  if (names.length !== 1) throw new Error(`${role} means ${names.length} roles: ${names.join(', ')}`);
  const attached = Object.values(resources(template, 'AWS::IAM::Policy')).filter(({ Properties }) =>
    (flat(Properties['Roles']) as string[]).includes(`<${names[0]}>`),
  );
  return attached.flatMap(({ Properties }) => {
    const { Statement } = flat(Properties['PolicyDocument']) as { readonly Statement: readonly Statement[] };
    return Statement;
  });
}

/** The statements by which a request is allowed; none when it is not. */
export function allowing(statements: readonly Statement[], request: Request): readonly Statement[] {
  const matching = statements.filter((statement) => applies(statement, request));
  return matching.some(({ Effect }) => Effect === 'Deny') ? [] : matching;
}

export function isAllowed(statements: readonly Statement[], request: Request): boolean {
  return allowing(statements, request).length > 0;
}

function applies(
  { Action, Resource, Condition = {} }: Statement,
  { action, resource, context = {} }: Request,
): boolean {
  return (
    list(Action).some((pattern) => like(pattern.toLowerCase(), action.toLowerCase())) &&
    list(Resource).some((pattern) => like(pattern, resource)) &&
    Object.entries(Condition).every(([operator, keys]) =>
      Object.entries(keys).every(([key, values]) => holds(operator, list(values), context[key])),
    )
  );
}

function holds(operator: string, values: readonly string[], actual: string | undefined): boolean {
  switch (operator) {
    case 'Null':
      return values.includes(String(actual === undefined));
    case 'Bool':
      return actual !== undefined && values.some((value) => value.toLowerCase() === actual.toLowerCase());
    case 'StringEquals':
      return actual !== undefined && values.includes(actual);
    case 'StringLikeIfExists':
      return actual === undefined || values.some((value) => like(value, actual));
    case 'StringLike':
    case 'ArnLike':
      return actual !== undefined && values.some((value) => like(value, actual));
    default:
      throw new Error(`a condition of a kind that this evaluation does not know: ${operator}`);
  }
}

function like(pattern: string, text: string): boolean {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's').test(text);
}

export function list(value: string | readonly string[]): readonly string[] {
  return typeof value === 'string' ? [value] : value;
}

/** S3's requests, with the condition keys that S3 gives them. */
export function s3Requests(bucketArn: string): {
  readonly put: (key: string, headers?: { ifNoneMatch?: string; ifMatch?: string }) => Request;
  readonly completeUpload: (key: string, headers?: { ifNoneMatch?: string }) => Request;
  readonly uploadPart: (key: string) => Request;
  readonly object: (action: string, key: string) => Request;
  readonly listing: (prefix?: string) => Request;
} {
  const at = (key: string): string => `${bucketArn}/${key}`;
  const creating = (key: string, headers: { ifNoneMatch?: string; ifMatch?: string } = {}): Request => ({
    action: 's3:PutObject',
    resource: at(key),
    context: {
      's3:ObjectCreationOperation': 'true',
      ...(headers.ifNoneMatch !== undefined && { 's3:if-none-match': headers.ifNoneMatch }),
      ...(headers.ifMatch !== undefined && { 's3:if-match': headers.ifMatch }),
    },
  });
  return {
    put: creating,
    completeUpload: creating,
    // CreateMultipartUpload, UploadPart and UploadPartCopy
    uploadPart: (key) => ({
      action: 's3:PutObject',
      resource: at(key),
      context: { 's3:ObjectCreationOperation': 'false' },
    }),
    object: (action, key) => ({ action, resource: at(key) }),
    listing: (prefix) => ({
      action: 's3:ListBucket',
      resource: bucketArn,
      ...(prefix !== undefined && { context: { 's3:prefix': prefix } }),
    }),
  };
}
