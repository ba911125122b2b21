/** The construct imports nothing of the functions that it deploys; what it repeats of them is held together here. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { METRIC_NAMES as published } from '../../functions/metrics.ts';
import { METRIC_NAMES as shown } from '../../infra/metrics.ts';
import { settingsOf } from '../../infra/settings.ts';
import { DEFAULT_COMPACTION } from '../../replica/compaction/compact.ts';
import { DEFAULT_RETENTION, retentionPolicy } from '../../replica/retention/policy.ts';

test('without props, retention is the default policy, in each of its fields', () => {
  assert.deepEqual(settingsOf({}).retention, DEFAULT_RETENTION);
});

test('what the retention function is given is a policy that it takes', () => {
  const given: unknown = JSON.parse(JSON.stringify(settingsOf({ retention: { daily: 0, weekly: 3 } }).retention));
  assert.deepEqual(retentionPolicy(given as object), { ...DEFAULT_RETENTION, daily: 0, weekly: 3 });
});

test('without props, compaction follows the default policy', () => {
  const { ratio, maxAge } = settingsOf({}).compaction;
  assert.deepEqual({ ratio, maxAge: maxAge.toMilliseconds() }, DEFAULT_COMPACTION);
});

test('every metric that alarms and dashboard show is one that the functions publish', () => {
  const names: ReadonlySet<string> = new Set(published);
  assert.deepEqual(
    shown.filter((name) => !names.has(name)),
    [],
  );
});
