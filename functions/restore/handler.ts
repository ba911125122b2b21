/** Lambda's entry: restores one database into the bucket, on demand. */
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { Context } from 'aws-lambda';
import { openBucket, openLog, openMetrics, openRoot, overlayMemory, s3Client, setting } from '../environment.ts';
import { roomIn } from '../free-space.ts';
import { restoreDatabase, type RestoreAnswer, type RestorePlanAnswer } from './restore-database.ts';

const log = openLog('restore');
const bucket = setting('SEAWALL_BUCKET');
const client = s3Client();
const folder = tmpdir();
const shared = {
  root: openRoot(),
  target: openBucket(),
  bucket,
  restores: setting('SEAWALL_RESTORES_PREFIX', 'restores/'),
  presign: (key: string) =>
    getSignedUrl(client, new GetObjectCommand({ Bucket: bucket, Key: key }), { expiresIn: 3600 }),
  memory: overlayMemory(),
  now: Date.now,
  unique: () => randomBytes(8).toString('hex'),
  scratch: {
    folder,
    room: () => roomIn(folder),
  },
  log,
  metrics: openMetrics(),
};

export async function handler(event: unknown, context: Context): Promise<RestoreAnswer | RestorePlanAnswer> {
  log.addContext(context);
  return restoreDatabase(event, { ...shared, remaining: () => context.getRemainingTimeInMillis() });
}
