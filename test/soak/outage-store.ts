/** The S3 server of the tests as a process: folder. Obeys `pause` and `resume`. */
import { startS3Server } from '../s3-server/index.ts';

const server = await startS3Server({ data: process.argv[2] ?? '', buckets: ['b'] });
process.on('message', (what) => {
  if (what === 'pause') server.pause();
  else server.resume();
  process.send?.('done');
});
process.send?.({ endpoint: server.endpoint });
