/** S3 servers for the tests of one file, and stores over them that end with each test. */
import { randomUUID } from 'node:crypto';
import { after, afterEach, beforeEach } from 'node:test';
import { s3Store, type S3StoreOptions } from '../../../../replica/store/s3/store.ts';
import type { Store } from '../../../../replica/store/store.ts';
import { startS3Server, type FaultRule, type OperationName } from '../../../s3-server/index.ts';
import { startProxy, type Quirk } from './s3-proxy.ts';

export const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'a-secret-that-no-message-may-hold' };

export const server = await startS3Server({ buckets: ['b'], data: 'memory' });
after(() => server.close());

export const guarded = await startS3Server({
  buckets: ['b'],
  auth: {
    root: { allow: () => true },
    expired: { allow: () => true, expired: true },
    nothing: { allow: () => false },
    // What grantShip gives: puts, and nothing else.
    shipper: { allow: (action) => action === 's3:PutObject' },
    keeper: { allow: (action, _bucket, key) => action !== 's3:DeleteObject' || !key.includes('kept') },
  },
});
after(() => guarded.close());

export const opened: { readonly close: () => Promise<void> }[] = [];
beforeEach(() => {
  server.resetCounters();
});
afterEach(async () => {
  server.faults.clear();
  for (const { close } of opened.splice(0)) await close();
});

export function openS3(options: Partial<S3StoreOptions> = {}): Store {
  const defaults = { bucket: 'b', prefix: `t/${randomUUID()}`, endpoint: server.endpoint, credentials: CREDENTIALS };
  const store = s3Store({ ...defaults, ...options });
  opened.push(store);
  return store;
}

/** The same through a server with an oddity. */
export async function openOdd(quirk: Quirk, options: Partial<S3StoreOptions> = {}): Promise<Store> {
  const proxy = await startProxy(server.endpoint, quirk);
  const store = openS3({ endpoint: proxy.endpoint, ...options });
  opened.push(proxy);
  return store;
}

type Fault = FaultRule extends infer F ? (F extends { match?: unknown } ? Omit<F, 'match'> : never) : never;

export function failing(op: OperationName, fault: Fault) {
  return server.faults.add({ ...fault, match: (request) => request.op === op });
}
