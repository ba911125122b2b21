/** The tests' S3 server under the policies of a synthesized template: each role is an access key of its name. */
import type { Template } from 'aws-cdk-lib/assertions';
import type { Access, Identity } from '../s3-server/index.ts';
import { allowing, type Statement, statementsOf } from './policy.ts';
import { only } from './synthesis.ts';

export interface Roles {
  /** May do everything, by the access key `root`. */
  readonly access: Access;
  /** What was asked for and refused, oldest first: `role action key`. */
  readonly refused: string[];
  /** Statements about the bucket that nothing was ever allowed by. */
  unused(role: string): readonly Statement[];
}

/** @param names what the logical ids of the roles begin with; they are the access keys */
export function rolesOf(template: Template, names: readonly string[]): Roles {
  const bucketArn = `<${only(template, 'AWS::S3::Bucket', 'Backup').logicalId}.Arn>`;
  const refused: string[] = [];
  const used = new Set<Statement>();
  const statements = new Map(names.map((name) => [name, statementsOf(template, name)]));
  const identity = (name: string): Identity => ({
    allow: (action, _bucket, key, headers, query) => {
      const context = contextOf(action, headers, query);
      const resource = key === '' ? bucketArn : `${bucketArn}/${key}`;
      const allowed = allowing(statements.get(name)!, { action, resource, context });
      for (const statement of allowed) used.add(statement);
      if (allowed.length === 0) refused.push(`${name} ${action} ${key}`);
      return allowed.length > 0;
    },
  });
  return {
    access: {
      root: { allow: () => true },
      ...Object.fromEntries(names.map((name) => [name, identity(name)])),
    },
    refused,
    unused: (role) =>
      statements
        .get(role)!
        .filter((statement) => !used.has(statement) && JSON.stringify(statement.Resource).includes(bucketArn)),
  };
}

/** The condition keys that S3 gives to a request. */
function contextOf(
  action: string,
  headers: Readonly<Record<string, string>>,
  query: URLSearchParams,
): Record<string, string> {
  const context: Record<string, string> = {};
  const given = (name: string, value: string | null | undefined): void => {
    if (value !== undefined && value !== null) context[name] = value;
  };
  given('s3:if-none-match', headers['if-none-match']);
  given('s3:if-match', headers['if-match']);
  given('s3:prefix', query.get('prefix'));
  // An upload that begins, and its parts, make no object.
  if (action === 's3:PutObject') {
    given('s3:ObjectCreationOperation', String(!query.has('uploads') && !query.has('partNumber')));
  }
  return context;
}
