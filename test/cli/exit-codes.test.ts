/** Every kind of failure has its exit code, and bugs are not passed off as wrong usage. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXIT, exitCodeOf, interpret, UsageError } from '../../cli/exit-codes.ts';
import { failureDocument, failureMessage } from '../../cli/failure.ts';
import { SeawallError, type ErrorKind } from '../../replica/terms/errors.ts';

test('kinds of failures and their exit codes', () => {
  const expected: Readonly<Record<ErrorKind, number>> = {
    corrupt: 4,
    missing: 3,
    point: 3,
    conflict: 1,
    exists: 1,
    denied: 1,
    unreachable: 1,
    unsupported: 1,
    refused: 1,
    local: 1,
  };
  for (const [kind, code] of Object.entries(expected)) {
    assert.equal(exitCodeOf(new SeawallError(kind as ErrorKind, 'X', 'x')), code, kind);
  }
});

test('a TypeError or RangeError is wrong usage only where the command line is interpreted', async () => {
  for (const error of [new TypeError('wrong'), new RangeError('wrong')]) {
    const interpreted: unknown = await interpret(() => Promise.reject(error)).catch((reason: unknown) => reason);
    assert.ok(interpreted instanceof UsageError);
    assert.equal(exitCodeOf(interpreted), EXIT.usage);
    assert.equal(exitCodeOf(error), EXIT.failed);
    assert.match(failureMessage(error), /unexpected error[^]*exit-codes\.test/);
  }
  await assert.rejects(
    interpret(() => Promise.reject(new SeawallError('local', 'X', 'passes'))),
    SeawallError,
  );
});

test('a failure’s JSON has kind, code, message, and its facts', () => {
  const facts = { key: 'a/b', expected: 5, actual: 'x' };
  assert.deepEqual(failureDocument(new SeawallError('corrupt', 'SEGMENT_CRC', 'broken', facts)), {
    kind: 'corrupt',
    code: 'SEGMENT_CRC',
    message: 'broken',
    ...facts,
  });
  assert.deepEqual(failureDocument(new UsageError('no')), { kind: 'usage', code: 'USAGE', message: 'no' });
  const local = Object.assign(new Error('no space'), { code: 'ENOSPC' });
  assert.deepEqual(failureDocument(local), { kind: 'unknown', code: 'ENOSPC', message: 'no space' });
});
