/** Every cause and reason has words for people, and a place in the documentation. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Terminal } from '../../cli/terminal/terminal.ts';
import { ShipLog } from '../../cli/report/ship-log.ts';
import type { ShipperEvent } from '../../shipper/protocol.ts';
import {
  LOSS_WORDS,
  REASON_WORDS,
  snapshotReasonWords,
  type LossCause,
  type NewGenerationReason,
} from '../../shipper/reasons.ts';

const causes = Object.keys(LOSS_WORDS) as LossCause[];
const reasons = Object.keys(REASON_WORDS) as NewGenerationReason[];

/** What `seawall ship` prints to a person about one event. */
function printed(event: ShipperEvent): string {
  let text = '';
  const stream = { on: () => stream, write: (more: string) => (text += more) } as unknown as NodeJS.WriteStream;
  const log = new ShipLog(new Terminal({ json: false, stdout: stream, stderr: stream, env: {} }), {
    verbose: false,
    interval: 0,
  });
  log.hear(event);
  return text;
}

test('ship prints words for each reason of a generation, and not the code', () => {
  for (const reason of reasons) {
    const line = printed({ type: 'generation', generation: 'g', cause: 'start', reason, pages: 3, milliseconds: 10 });
    assert.equal(line, `generation g started (${REASON_WORDS[reason]}): 3 pages in 0.0 seconds\n`);
    assert.ok(!line.includes(reason), line);
  }
});

test('ship prints words for each cause of lost continuity, and not the code', () => {
  for (const cause of causes) {
    const line = printed({ type: 'lost', cause, message: 'seen here' });
    assert.ok(line.includes(`(${LOSS_WORDS[cause]})`), line);
    assert.ok(cause === 'contested' || !line.includes(cause), line);
  }
});

test('a reason of another release stays readable, and cannot command the terminal', () => {
  assert.equal(snapshotReasonWords('new-replica'), REASON_WORDS['new-replica']);
  assert.equal(snapshotReasonWords('made-by-a-newer-release'), 'made-by-a-newer-release');
  assert.equal(snapshotReasonWords('toString'), 'toString');
  assert.equal(snapshotReasonWords('\x1b[31m\x9b2J\n'), '\\x1b[31m\\x9b2J\\x0a');
});

test('docs/ARCHITECTURE.md names every cause and every reason', () => {
  const text = readFileSync(new URL('../../docs/ARCHITECTURE.md', import.meta.url), 'utf8');
  const passage = text.slice(text.indexOf('**Resuming has a cause**'), text.indexOf('**A held snapshot**'));
  for (const word of [...causes, ...reasons]) assert.ok(passage.includes(`\`${word}\``), word);
});
