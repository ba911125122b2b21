/** Whatever happens to the files, the app and its file fare exactly as without Seawall. */
import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { describe, test } from 'node:test';
import { until } from '../shipper/scene.ts';
import { run, type Outcome, type Run } from './control.ts';

const TOUCHES: Readonly<Record<string, string>> = {
  '-shm removed': 'rm app.db-shm',
  '-wal removed': 'rm app.db-wal',
  '-wal and -shm removed': 'rm app.db-wal app.db-shm',
  'file truncated': ': > app.db',
  'file overwritten in place': 'cat seed.db > app.db',
  'file renamed away': 'mv app.db away.db',
  'file and its companions renamed away and back':
    'for s in "" -wal -shm; do mv app.db$s x$s; done; sleep 0.3; for s in "" -wal -shm; do mv x$s app.db$s; done',
  'file renamed away and back': 'mv app.db x; sleep 0.3; mv x app.db',
  'file replaced by rename': 'cp seed.db new.db; mv new.db app.db',
};

const PHASES: Readonly<Record<string, (run: Run) => Promise<void>>> = {
  writing: () => Promise.resolve(),
  idle: async ({ settle }) => {
    await settle();
    await pause(400);
  },
  checkpointing: async ({ app, settle }) => {
    // Comes to the end once the pin has moved to the newest frame: a checkpoint comes no further than the pin.
    await settle();
    await app.do({ do: 'checkpoint-all' });
    await pause(800);
  },
};

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

function same(shipped: Outcome, control: Outcome): void {
  const told = `causes ${shipped.causes.join()}; problems ${[...new Set(shipped.problems)].join()}; ${shipped.ended}`;
  assert.equal(shipped.answers.join('\n'), control.answers.join('\n'), told);
  assert.equal(shipped.content, control.content, told);
  // Where there is a database at the end that is not malformed, the replica has it, too.
  if (shipped.ended === 'stopped') assert.equal(shipped.restored, shipped.content, told);
}

describe('never harm', { concurrency: 4 }, () => {
  for (const [what, command] of Object.entries(TOUCHES)) {
    for (const [phase, before] of Object.entries(PHASES)) {
      test(`${what} while the app has it open, ${phase}: the app and its file fare as without Seawall`, async () => {
        const scenario = async (scene: Run): Promise<void> => {
          const { app, settle } = scene;
          await app.commit(41, 20, 5);
          await settle();
          await app.commit(61, 20, 5);
          await before(scene);
          await app.touch(`cd ${scene.scene.folder}; ${command}`);
          await app.commit(81, 20, phase === 'writing' ? 0 : 20);
          if (phase === 'checkpointing') await app.do({ do: 'checkpoint', mode: 'PASSIVE' });
          await app.commit(101, 20, 20);
          await app.do({ do: 'close' });
        };
        const control = await run(false, scenario);
        const shipped = await run(true, scenario);
        same(shipped, control);
      });
    }

    test(`${what} while the app has it closed: the app and its file fare as without Seawall`, async () => {
      const scenario = async ({ app, scene, settle, shipped }: Run): Promise<void> => {
        await app.commit(41, 40, 5);
        await settle();
        await app.commit(81, 5);
        await app.do({ do: 'close' });
        // The shipper leaves the files as SQLite's close does, within a moment.
        if (shipped) await until(() => statSync(`${scene.database}-wal`).size === 0, 5000);
        // Without Seawall there is no -wal and no -shm any more.
        await app.touch(`cd ${scene.folder}; touch app.db-wal app.db-shm; ${command}`);
        if (shipped) await pause(2500);
        if (!existsSync(scene.database)) return;
        await app.do({ do: 'open' });
        await app.commit(2001, 20, 20);
        await app.do({ do: 'close' });
      };
      const control = await run(false, scenario);
      const shipped = await run(true, scenario);
      same(shipped, control);
    });
  }
});
