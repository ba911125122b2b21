/**
 * The storage contract against a real server. Set SEAWALL_TEST_S3 to its endpoint, SEAWALL_TEST_S3_BUCKET to a bucket
 * (which is made if it is not there), and credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Each test works
 * below a random prefix, and clears it.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { s3Store } from '../../../../replica/store/s3/store.ts';
import type { Store } from '../../../../replica/store/store.ts';
import { storeConformance } from '../../../../testing/index.ts';
import { collect } from '../../../../testing/store/reading.ts';

const { SEAWALL_TEST_S3: endpoint = '', SEAWALL_TEST_S3_BUCKET: bucket = 'seawall-test' } = process.env;
const region = process.env['AWS_REGION'] ?? 'us-east-1';

if (endpoint === '') {
  test('a real S3 server is not configured: set SEAWALL_TEST_S3 to run the storage contract against one', () => {
    assert.equal(endpoint, '');
  });
} else {
  const client = new S3Client({ endpoint, region, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: bucket })).catch((error: unknown) => {
    const isThere = error instanceof Error && error.name.includes('BucketAlready');
    if (!isThere) throw error;
  });
  client.destroy();

  for (const checksums of ['when-required', 'when-supported'] as const) {
    const open = (prefix: string): Store => s3Store({ bucket, prefix, endpoint, region, checksums });
    storeConformance(
      `${endpoint}, checksums ${checksums}`,
      () => Promise.resolve(open(`conformance/${randomUUID()}`)),
      {
        close: async (store) => {
          await store.close();
          const sweeper = open(store.url.slice(`s3://${bucket}/`.length));
          await sweeper.delete((await collect(sweeper.list(''))).map(({ key }) => key));
          for (const left of await collect(sweeper.unfinished(''))) await left.abort();
          await sweeper.close();
        },
      },
    );
  }
}
