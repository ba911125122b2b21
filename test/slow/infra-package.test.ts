/** The construct works from the built package, in apps that import it and in apps that require it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '../..');

const APP = `
  const stack = new cdk.Stack(new cdk.App(), 'Mine');
  const backup = new infra.SqliteBackup(stack, 'Backup');
  backup.grantShip(new iam.User(stack, 'Laptop'), 'app');
  const { Resources } = stack.node.root.synth().getStackByName('Mine').template;
  console.log(Object.values(Resources).filter(({ Type }) => Type === 'AWS::Lambda::Function').length);
`;

/** The package may name itself, so what is run here is what its `exports` lead to. */
function run(type: 'module' | 'commonjs', code: string): string {
  const arguments_ = [`--input-type=${type}`, '--eval', code + APP];
  return execFileSync(process.execPath, arguments_, { cwd: ROOT, encoding: 'utf8' }).trim();
}

test('import', () => {
  const code = `
    import * as cdk from 'aws-cdk-lib';
    import * as iam from 'aws-cdk-lib/aws-iam';
    import * as infra from 'seawall/infra';
  `;
  assert.equal(run('module', code), '4');
});

test('require', () => {
  const code = `
    const cdk = require('aws-cdk-lib');
    const iam = require('aws-cdk-lib/aws-iam');
    const infra = require('seawall/infra');
  `;
  assert.equal(run('commonjs', code), '4');
});
