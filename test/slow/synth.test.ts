/** `npx cdk synth` works in a clone: offline, without credentials, and with the functions that are there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '../..');

test('cdk synth, with no account in sight', () => {
  const out = mkdtempSync(join(tmpdir(), 'seawall-cdk-'));
  try {
    const arguments_ = [
      '--no',
      'cdk',
      'synth',
      '--quiet',
      '--output',
      out,
      '-c',
      'root=dbs/',
      '-c',
      'alarmEmail=a@b.example',
    ];
    execFileSync('npx', arguments_, {
      cwd: ROOT,
      stdio: 'pipe',
      env: {
        PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
        HOME: out,
        AWS_EC2_METADATA_DISABLED: 'true',
        // Any use of the network fails at once.
        HTTPS_PROXY: 'http://127.0.0.1:1',
        HTTP_PROXY: 'http://127.0.0.1:1',
        CDK_DISABLE_CLI_TELEMETRY: 'true',
      },
    });
    const template = JSON.parse(readFileSync(join(out, 'seawall.template.json'), 'utf8')) as {
      readonly Resources: Record<string, { readonly Type: string; readonly Properties: Record<string, unknown> }>;
    };
    const count = new Map<string, number>();
    for (const { Type } of Object.values(template.Resources)) count.set(Type, (count.get(Type) ?? 0) + 1);
    assert.equal(count.get('AWS::Lambda::Function'), 4);
    assert.equal(count.get('AWS::Scheduler::Schedule'), 2);
    assert.equal(count.get('AWS::SQS::Queue'), 6);
    assert.equal(count.get('AWS::SNS::Subscription'), 1);
    const bucket = Object.values(template.Resources).find(({ Type }) => Type === 'AWS::S3::Bucket');
    assert.ok(bucket?.Properties['NotificationConfiguration']);
    assert.ok(bucket.Properties['LifecycleConfiguration']);
    const { files } = JSON.parse(readFileSync(join(out, 'seawall.assets.json'), 'utf8')) as {
      readonly files: Record<string, { readonly source: { readonly packaging: string } }>;
    };
    assert.equal(Object.values(files).filter(({ source }) => source.packaging === 'zip').length, 4);
  } finally {
    rmSync(out, { recursive: true });
  }
});
