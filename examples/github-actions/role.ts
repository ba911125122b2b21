/**
 * The role of the workflows. GitHub's token names the repository and branch; the role may invoke the restore function.
 */
import { Stack, type StackProps } from 'aws-cdk-lib';
import { OidcProviderNative, Role, WebIdentityPrincipal } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { SqliteBackup } from 'seawall/infra';

const GITHUB = 'token.actions.githubusercontent.com';

export interface BackupStackProps extends StackProps {
  /**
   * The `sub` of GitHub's token: `repo:me/app:ref:refs/heads/main`, and `repo:me/app:environment:staging` for jobs of
   * an environment. Repositories made since July 2026 have numbers in it: `repo:me@123/app@456:…`.
   */
  readonly subjects: readonly string[];
}

export class BackupStack extends Stack {
  constructor(scope: Construct, id: string, { subjects, ...props }: BackupStackProps) {
    super(scope, id, props);
    const backup = new SqliteBackup(this, 'Backup');
    // An account has only one. If it exists already, use OidcProviderNative.fromOidcProviderArn.
    const github = new OidcProviderNative(this, 'GitHub', {
      url: `https://${GITHUB}`,
      clientIds: ['sts.amazonaws.com'],
    });
    const role = new Role(this, 'RestoreFromGitHub', {
      assumedBy: new WebIdentityPrincipal(github.oidcProviderArn, {
        StringEquals: { [`${GITHUB}:aud`]: 'sts.amazonaws.com', [`${GITHUB}:sub`]: subjects },
      }),
    });
    backup.grantInvokeRestore(role);
  }
}
