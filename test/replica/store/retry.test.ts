import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffDelay, retry, type RetryOptions } from '../../../replica/runtime/retry.ts';

function recording(options: Partial<RetryOptions> = {}): { waits: number[]; options: RetryOptions } {
  const waits: number[] = [];
  const sleep = (ms: number): Promise<void> => {
    waits.push(ms);
    return Promise.resolve();
  };
  const defaults = { attempts: 5, baseMs: 100, capMs: 1000, retryable: () => true, random: () => 1, sleep };
  return { waits, options: { ...defaults, ...options } };
}

function failing(times: number): (attempt: number) => Promise<number> {
  return (attempt) => (attempt <= times ? Promise.reject(new Error(`attempt ${attempt}`)) : Promise.resolve(attempt));
}

test('it repeats until it succeeds, and tells the operation which attempt it is', async () => {
  const { waits, options } = recording();
  assert.equal(await retry(failing(3), options), 4);
  assert.deepEqual(waits, [100, 200, 400]);
});

test('after the last attempt the last error is thrown, without a wait', async () => {
  const { waits, options } = recording({ attempts: 3 });
  await assert.rejects(retry(failing(9), options), /attempt 3/);
  assert.equal(waits.length, 2);
});

test('what is not retryable is thrown at once', async () => {
  const { waits, options } = recording({ retryable: (error) => (error as Error).message !== 'attempt 2' });
  await assert.rejects(retry(failing(9), options), /attempt 2/);
  assert.equal(waits.length, 1);
});

test('waits double up to the cap, and lie between half and the whole', () => {
  const options = { baseMs: 100, capMs: 1000 };
  const at = (random: number): number[] => [1, 2, 3, 4, 5, 60, 5000].map((n) => backoffDelay(n, options, () => random));
  assert.deepEqual(at(1), [100, 200, 400, 800, 1000, 1000, 1000]);
  assert.deepEqual(at(0), [50, 100, 200, 400, 500, 500, 500]);
});

test('the signal ends the wait at once, and its reason is thrown', async () => {
  const controller = new AbortController();
  const reason = new Error('stopped');
  let attempts = 0;
  const running = retry(
    () => {
      attempts++;
      return Promise.reject(new Error('down'));
    },
    { attempts: Infinity, baseMs: 60_000, capMs: 60_000, retryable: () => true, signal: controller.signal },
  );
  setTimeout(() => {
    controller.abort(reason);
  }, 20);
  await assert.rejects(running, (error) => error === reason);
  assert.equal(attempts, 1);
  const { options } = recording({ signal: controller.signal });
  await assert.rejects(retry(failing(0), options), (error) => error === reason);
});

test('each wait is told before it begins', async () => {
  const told: string[] = [];
  const { options } = recording({
    onRetry: (error, failures, delayMs) => told.push(`${(error as Error).message}/${failures}/${delayMs}`),
  });
  await retry(failing(2), options);
  assert.deepEqual(told, ['attempt 1/1/100', 'attempt 2/2/200']);
});

test('no attempts at all is a RangeError', async () => {
  for (const attempts of [0, -1, Number.NaN]) {
    await assert.rejects(retry(failing(0), recording({ attempts }).options), RangeError);
  }
});
