import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { openStore, type OpenStoreOptions } from '../../../replica/store/open.ts';
import { startS3Server } from '../../s3-server/index.ts';

const directory = await mkdtemp(join(tmpdir(), 'seawall-open-'));
after(() => rm(directory, { recursive: true, force: true }));
const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };

test('a folder is opened by URL, absolute path and relative path, and is the same', async () => {
  const folder = join(directory, 'with space');
  const written = await openStore(pathToFileURL(folder).href);
  await written.put('k', Buffer.from('x'));
  for (const url of [folder, relative(process.cwd(), folder), `${pathToFileURL(folder).href}/`]) {
    const store = await openStore(url);
    assert.equal((await store.get('k')).body.toString(), 'x', url);
  }
  assert.equal(written.url, pathToFileURL(folder).href);
});

test('memory: is a new store each time', async () => {
  const store = await openStore('memory:');
  await store.put('k', Buffer.from('x'));
  assert.equal(await (await openStore('memory:')).head('k'), undefined);
});

test('s3:// URLs say bucket, prefix and settings, and what they say wins', async () => {
  const server = await startS3Server({ buckets: ['b'] });
  try {
    const query = `endpoint=${encodeURIComponent(server.endpoint)}&region=eu-west-1&checksums=when-required`;
    const url = `s3://b/some/pre%20fix/?${query}`;
    const store = await openStore(url, { credentials, endpoint: 'http://127.0.0.1:1', maxAttempts: 1 });
    assert.equal(store.url, 's3://b/some/pre%20fix');
    await store.put('k', Buffer.from('x'));
    assert.equal(server.peek('b', 'some/pre%20fix/k').toString(), 'x');
    await store.close();
    const whole = await openStore(`s3://b?${query}&pathStyle=true`, { credentials });
    assert.equal((await whole.get('some/pre%20fix/k')).body.toString(), 'x');
    assert.equal(whole.url, 's3://b');
    await whole.close();
  } finally {
    await server.close();
  }
});

test('what is unknown is refused by name', async () => {
  const cases = [
    ['', /must be a URL or a path/],
    ['ftp://host/x', /unknown scheme "ftp:"/],
    ['gs://bucket/x', /unknown scheme "gs:"/],
    ['odd:name', /unknown scheme "odd:".*begin it with "\.\/"/],
    ['memory:shared', /just "memory:"/],
    ['file://host/path', /three slashes/],
    ['file:relative', /three slashes/],
    ['file:///path?mode=ro', /unknown option "\?mode=ro"/],
    ['s3:bucket', /s3:\/\/bucket\/prefix/],
    ['s3:///prefix', /s3:\/\/bucket\/prefix/],
    ['s3://b/p?regoin=x', /unknown option "regoin".*allowed are region, endpoint, pathStyle, checksums/],
    ['s3://b/p?constructor=x', /unknown option "constructor"/],
    ['s3://b/p?region=', /"region".*no value/],
    ['s3://b/p?region=a&region=b', /"region" is given twice/],
    ['s3://b/p?pathStyle=yes', /pathStyle must be true or false, got "yes"/],
    ['s3://b/p?checksums=none', /checksums must be when-required or when-supported/],
    ['s3://b/p?endpoint=localhost:9000', /endpoint must be an http/],
    ['s3://b/../p', /not a key/],
    ['s3://b//p', /not a key/],
  ] as const;
  for (const [url, message] of cases) {
    await assert.rejects(openStore(url), (error: unknown) => {
      assert.ok(error instanceof TypeError || error instanceof RangeError, `${url}: ${String(error)}`);
      assert.match(error.message, message);
      return true;
    });
  }
  await assert.rejects(openStore('s3://b', { nonsense: 1 } as OpenStoreOptions), /unknown option "nonsense"/);
});

test('secrets in a URL are not repeated in errors', async () => {
  await assert.rejects(openStore('http://me:hunter2@host/x'), (error: Error) => !error.message.includes('hunter2'));
});

test('opening a folder does not load the S3 SDK', async () => {
  const script = `
    const { openStore } = await import(${JSON.stringify(join(import.meta.dirname, '../../../replica/store/open.ts'))});
    const { createRequire } = await import('node:module');
    const store = await openStore(${JSON.stringify(directory)});
    await store.put('k', Buffer.from('x'));
    const loaded = Object.keys(createRequire(import.meta.url).cache).filter((path) => path.includes('@aws-sdk'));
    console.log(loaded.length);`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    cwd: import.meta.dirname,
  });
  assert.equal(stdout.trim(), '0');
});
