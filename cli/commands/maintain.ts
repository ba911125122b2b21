import { setTimeout as sleep } from 'node:timers/promises';
import { SeawallError } from '../../replica/terms/errors.ts';
import { formatTime } from '../../replica/terms/target.ts';
import type { Command } from '../command.ts';
import type { CommandLine } from '../command-line.ts';
import { EXIT, interpret, UsageError } from '../exit-codes.ts';
import { EndRequest } from '../interruption.ts';
import { Maintenance } from '../maintenance.ts';
import { withStore } from '../replica-place.ts';
import { spanWords } from '../report/wording.ts';
import { compactionChoice, COMPACTION_FLAGS, retentionChoice, RETENTION_FLAGS } from '../policy-flags.ts';

const DEFAULT_INTERVAL = 60_000;
const DEFAULT_RETAIN_INTERVAL = 3_600_000;
/** A timer takes no more than 2³¹ − 1 milliseconds. */
const LONGEST_INTERVAL = 24 * 86_400_000;

export const maintainCommand: Command = {
  name: 'maintain',
  summary: 'compacts and retains every database below a root, again and again; for places without Lambda',
  details: [
    'Each round looks for databases again and works on one at a time. If one fails, the others go on. After SIGINT or ' +
      'SIGTERM the current step is finished and the exit code is 0; a second signal ends the process at once, which ' +
      'does no harm either. With --once, the exit code says whether all went well.',
  ],
  operands: [{ name: 'root', help: 'a folder or s3://bucket/prefix, with databases anywhere below' }],
  flags: {
    interval: { value: 'duration', default: spanWords(DEFAULT_INTERVAL), help: 'pause between rounds' },
    'retain-interval': {
      value: 'duration',
      default: spanWords(DEFAULT_RETAIN_INTERVAL),
      help: 'retention runs in a round only if the last time was so long ago',
    },
    once: { help: 'one round, with retention, then end' },
    verbose: { short: 'v', help: 'also prints databases in which there was nothing to do' },
    ...COMPACTION_FLAGS,
    ...RETENTION_FLAGS,
  },
  examples: [
    { line: 'seawall maintain s3://backups --window 72h --daily 30', says: 'all databases of a bucket' },
    { line: 'seawall maintain ./bucket --once --json', says: 'from cron, with a report' },
  ],
  async run(line, terminal) {
    const compaction = await compactionChoice(line);
    const retention = await retentionChoice(line);
    const interval = await pauseOf(line, 'interval', DEFAULT_INTERVAL);
    const retainInterval = await pauseOf(line, 'retain-interval', DEFAULT_RETAIN_INTERVAL);
    const once = line.has('once');
    return withStore(line.operand(0), async (root) => {
      using end = new EndRequest((signal) => {
        const time = formatTime(Date.now());
        terminal.print({ event: 'stopping', signal, time }, [`stopping (${signal}): finishing the current step`]);
      });
      const verbose = line.has('verbose') || once;
      const maintenance = new Maintenance(root, terminal, { compaction, retention, verbose, signal: end.signal });
      let retained = Number.NEGATIVE_INFINITY;
      for (let rounds = 1; !end.asked(); rounds++) {
        const withRetention = performance.now() - retained >= retainInterval;
        if (withRetention) retained = performance.now();
        try {
          const { databases, exitCode } = await maintenance.round(withRetention);
          if (once && !end.asked() && databases === 0) throw noDatabases(root.url);
          if (once && !end.asked()) return exitCode;
        } catch (error) {
          if (rounds === 1) throw error; // most likely the root is wrong: fail at once
          maintenance.tellFailure(error);
        }
        await sleep(interval, undefined, { signal: end.signal }).catch(() => undefined);
      }
      terminal.print({ event: 'stopped', time: formatTime(Date.now()) }, ['stopped']);
      return EXIT.ok;
    });
  },
};

function noDatabases(url: string): SeawallError {
  return new SeawallError('missing', 'NO_DATABASES', `there is no database below ${url}. Check bucket and prefix.`);
}

async function pauseOf(line: CommandLine, name: string, otherwise: number): Promise<number> {
  const given = (await interpret(() => line.duration(name))) ?? otherwise;
  if (given <= LONGEST_INTERVAL) return given;
  throw new UsageError(`--${name} must be at most ${spanWords(LONGEST_INTERVAL)}`);
}
