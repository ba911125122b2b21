/** Tests beside a real Litestream, over a folder and, if one is named, over a real S3 server. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { openStore } from '../../replica/store/open.ts';
import type { Store } from '../../replica/store/store.ts';
import { Scene } from '../shipper/scene.ts';
import { Litestream, placeInFolder, placeOnS3, variableOf, type Place } from './litestream.ts';
import { RecordedDatabase } from './recorded.ts';

const { SEAWALL_TEST_S3: endpoint = '' } = process.env;
const { SEAWALL_TEST_S3_BUCKET: bucket = 'seawall', AWS_REGION: region = 'us-east-1' } = process.env;

/** What each of these tests has: a program, a database whose states are remembered, and a place for its replica. */
export interface Meeting {
  readonly litestream: Litestream;
  readonly scene: Scene;
  readonly recorded: RecordedDatabase;
  readonly place: Place;
  /** Of that place. */
  readonly store: Store;
}

/** Defines a test for each named program and each kind of place; or one test that says so if none is named. */
export function withLitestream(
  versions: readonly Litestream['version'][],
  name: string,
  body: (meeting: Meeting) => Promise<void>,
  where: 'everywhere' | 'folder' = 'everywhere',
): void {
  for (const version of versions) {
    const litestream = Litestream.named(version);
    if (litestream === undefined) {
      const variable = variableOf(version);
      test(`Litestream ${version} is not here: name its binary in ${variable} to see that ${name}`, () => {
        assert.equal(process.env[variable] ?? '', '');
      });
      continue;
    }
    test(`Litestream ${version}, folder: ${name}`, () => meet(litestream, folderIn, body));
    if (endpoint !== '' && where === 'everywhere')
      test(`Litestream ${version}, S3: ${name}`, () => meet(litestream, bucketPrefix, body));
  }
}

async function meet(
  litestream: Litestream,
  placeIn: (folder: string) => Promise<Place>,
  body: (meeting: Meeting) => Promise<void>,
): Promise<void> {
  await using scene = new Scene();
  const recorded = new RecordedDatabase(scene);
  const place = await placeIn(scene.folder);
  scene.bucket = place.url;
  const store = await openStore(place.url);
  try {
    await body({ litestream, scene, recorded, place, store });
  } finally {
    recorded.close();
    await store.close();
  }
}

function folderIn(folder: string): Promise<Place> {
  const path = join(folder, 'replica');
  mkdirSync(path, { recursive: true });
  return Promise.resolve(placeInFolder(path));
}

async function bucketPrefix(): Promise<Place> {
  const client = new S3Client({ endpoint, region, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: bucket })).catch((error: unknown) => {
    if (!(error instanceof Error && error.name.includes('BucketAlready'))) throw error;
  });
  client.destroy();
  return placeOnS3(endpoint, region, bucket, `interop/${randomUUID()}`);
}
