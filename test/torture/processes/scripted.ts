/** Carrying out a script of steps, for writers in JavaScript and for the app. */
import { createInterface } from 'node:readline';
import { setImmediate as breathe, setTimeout as sleep } from 'node:timers/promises';
import { open } from '../../shipper/writers/library.ts';
import type { Step } from '../steps.ts';

/** Steps as they come in, one JSON document a line. */
export async function* scripted(input: NodeJS.ReadableStream): AsyncGenerator<Step> {
  for await (const line of createInterface({ input })) yield JSON.parse(line) as Step;
}

/** Carries steps out one after the other. A step that finds the database busy is left out, as an app would. */
export async function carryOut(path: string, library: string, steps: AsyncIterable<Step>): Promise<void> {
  let db = await open(library, path);
  for await (const step of steps) {
    if ('sleep' in step) await sleep(step.sleep);
    else if ('reopen' in step) {
      if (db.inTransaction()) db.exec('ROLLBACK');
      db.close();
      db = await open(library, path);
    } else {
      try {
        db.exec(step.sql);
      } catch (error) {
        if (!/busy|locked/i.test(String(error))) throw error;
        if (db.inTransaction()) db.exec('ROLLBACK');
      }
      await breathe();
    }
  }
  db.close();
}
