// Runs the server as a process of its own: node main.ts [--port N] [--data DIR] [--bucket NAME]...
// Prints {"endpoint": …} when it is ready and ends on SIGTERM or SIGINT.
import { parseArgs } from 'node:util';
import { startS3Server } from './index.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    data: { type: 'string', default: 'memory' },
    bucket: { type: 'string', multiple: true, default: ['b'] },
  },
});
const port = Number(values.port);
if (!Number.isInteger(port) || port < 0 || port > 65535) throw new RangeError(`--port: not a port: ${values.port}`);

const server = await startS3Server({ port, data: values.data, buckets: values.bucket });
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void server.close());
console.log(JSON.stringify({ endpoint: server.endpoint }));
