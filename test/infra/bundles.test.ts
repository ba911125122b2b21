/** Each function's bundle is all it needs: it starts from an empty folder, with nothing of the machine's environment. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { App, Stack } from 'aws-cdk-lib';
import { bundleFunctions } from '../../infra/bundle-functions.ts';
import { bundledCode } from '../../infra/bundling.ts';

const NAMES = ['compact', 'drill', 'restore', 'retain'] as const;
const folder = mkdtempSync(join(tmpdir(), 'seawall-bundles-'));
after(() => {
  rmSync(folder, { recursive: true });
});

const SETTINGS = {
  AWS_REGION: 'eu-central-1',
  SEAWALL_BUCKET: 'bucket',
  SEAWALL_ROOT: 'dbs/',
  SEAWALL_POLICY_RATIO: '0.5',
  SEAWALL_POLICY_MAX_AGE: '86400000',
  SEAWALL_RETENTION: '{"window":604800000,"daily":14,"weekly":8,"monthly":12,"grace":3600000}',
  SEAWALL_QUEUE_URL: 'https://sqs.eu-central-1.amazonaws.com/111122223333/sweep',
  SEAWALL_RESTORES_PREFIX: 'restores/',
  SEAWALL_DRILL_QUEUE_URL: 'https://sqs.eu-central-1.amazonaws.com/111122223333/drill',
};

/** Runs a module beside the bundle, from there, and answers what it prints. */
function run(place: string, code: string): string {
  writeFileSync(join(place, 'probe.mjs'), code);
  return execFileSync(process.execPath, ['probe.mjs'], { cwd: place, env: SETTINGS, encoding: 'utf8' }).trim();
}

test('every function is one file, the same for every machine', async () => {
  const bundles = await bundleFunctions({ out: join(folder, 'bundles') });
  assert.deepEqual(
    bundles.map(({ name, folder }) => [name, ...readdirSync(folder)]),
    NAMES.map((name) => [name, 'index.mjs']),
  );
  for (const { name, size } of bundles) assert.ok(size < 3 << 20, `${name}: ${size} bytes slow every cold start`);
});

test('each bundle starts alone, from an empty folder and with an empty environment', () => {
  for (const name of NAMES) {
    const place = join(folder, `alone-${name}`);
    cpSync(join(folder, 'bundles', name), place, { recursive: true });
    const kind = run(place, `import { handler } from './index.mjs'; console.log(typeof handler, handler.length);`);
    assert.equal(kind, 'function 2', name);
  }
});

test('a bundle answers an event that asks for nothing', () => {
  const event = { Records: [{ messageId: 'm1', eventSource: 'aws:sqs', body: '{"Event":"s3:TestEvent"}' }] };
  const answer = run(
    join(folder, 'alone-compact'),
    `import { handler } from './index.mjs';
     const context = { getRemainingTimeInMillis: () => 60_000, awsRequestId: 'r', functionName: 'compact' };
     const answer = await handler(${JSON.stringify(event)}, context);
     console.log(JSON.stringify(answer));`,
  );
  assert.deepEqual(JSON.parse(answer.split('\n').at(-1)!), { batchItemFailures: [] });
});

test('the construct takes the bundles of the package, or says how to make them', () => {
  const app = new App({ outdir: join(folder, 'cdk.out') });
  for (const name of NAMES) {
    const stack = new Stack(app, name);
    const { s3Location } = bundledCode(name, [join(folder, 'nowhere'), join(folder, 'bundles')]).bind(stack);
    assert.ok(s3Location, name);
  }
  assert.throws(() => bundledCode('compact', [join(folder, 'nowhere')]), /npm run build:functions/);
});
