/** The S3 server of the tests as a process of its own, which returns its counters on request. */
import { startS3Server } from '../test/s3-server/index.ts';

const [data = ''] = process.argv.slice(2);
const server = await startS3Server({ data, buckets: ['b'] });
process.on('message', () => process.send?.({ requests: server.requests }));
process.on('disconnect', () => void server.close());
process.send?.({ endpoint: server.endpoint });
