/** Each function's bundle is all it needs: it starts from an empty folder, with nothing of the machine's environment. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

test('every function is bundled, for any machine but for the SQLite of the drill', async () => {
  const bundles = await bundleFunctions({ out: join(folder, 'arm64') });
  assert.deepEqual(
    bundles.map(({ name, files }) => [name, [...files.keys()]]),
    [
      ['compact', ['index.mjs']],
      ['drill', ['index.mjs', 'linux-arm64.node']],
      ['restore', ['index.mjs']],
      ['retain', ['index.mjs']],
    ],
  );
  for (const { name, files } of bundles) {
    assert.ok(files.get('index.mjs')! < 3 << 20, `${name}: ${files.get('index.mjs')} bytes slow every cold start`);
  }
});

test('the SQLite of the drill is built for aarch64', () => {
  const header = readFileSync(join(folder, 'arm64/drill/linux-arm64.node')).subarray(0, 20);
  assert.equal(header.toString('latin1', 0, 4), '\x7fELF');
  assert.equal(header.readUInt16LE(18), 183, 'e_machine must be EM_AARCH64');
});

test('each bundle starts alone, from an empty folder and with an empty environment', async () => {
  // Where this machine is no arm64, the drill gets its own machine's SQLite; all else is the same file.
  const [drill] = await bundleFunctions({ out: join(folder, 'here'), only: ['drill'], arch: process.arch as 'arm64' });
  for (const name of NAMES) {
    const bundle = name === 'drill' ? drill!.folder : join(folder, 'arm64', name);
    const place = join(folder, `alone-${name}`);
    mkdirSync(place);
    cpSync(bundle, place, { recursive: true });
    const kind = run(place, `import { handler } from './index.mjs'; console.log(typeof handler, handler.length);`);
    assert.equal(kind, 'function 2', name);
    const native = readdirSync(place).find((file) => file.endsWith('.node'));
    if (native === undefined) continue;
    const load = `process.dlopen({ exports: {} }, ${JSON.stringify(join(place, native))}); console.log('loaded');`;
    assert.equal(run(place, load), 'loaded');
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
    const { s3Location } = bundledCode(name, [join(folder, 'nowhere'), join(folder, 'arm64')]).bind(stack);
    assert.ok(s3Location, name);
  }
  assert.throws(() => bundledCode('compact', [join(folder, 'nowhere')]), /npm run build:functions/);
});
