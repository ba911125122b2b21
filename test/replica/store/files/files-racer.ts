/**
 * A process of its own for files.test.ts, over the folder in argv[2]. What it does is in argv[3]:
 *
 * - `absent <id> <rounds>`: puts `absent/<round>` with 'absent', and prints the rounds it won
 * - `count <id> <times>`: adds one to the number in `count` by ifMatch, again and again until it has done it `times`
 * - `churn <id>`: puts, replaces and deletes for ever, until it is killed
 */
import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { isKind } from '../../../../replica/terms/errors.ts';
import { filesStore } from '../../../../replica/store/files/store.ts';

const [, , directory = '', task = '', id = '', times = '0'] = process.argv;
const store = filesStore(directory);

async function unlessConflict(running: Promise<unknown>): Promise<boolean> {
  try {
    await running;
    return true;
  } catch (error) {
    if (isKind(error, 'conflict')) return false;
    throw error;
  }
}

switch (task) {
  case 'absent': {
    const won: number[] = [];
    for (let round = 0; round < Number(times); round++) {
      const body = Buffer.from(`${id} in round ${round}`);
      if (await unlessConflict(store.put(`absent/${round}`, body, 'absent'))) won.push(round);
    }
    console.log(JSON.stringify(won));
    break;
  }
  case 'count': {
    for (let done = 0; done < Number(times);) {
      const { body, etag } = await store.get('count/value');
      const next = Buffer.from(String(Number(body.toString()) + 1));
      if (await unlessConflict(store.put('count/value', next, { ifMatch: etag }))) done++;
    }
    break;
  }
  case 'churn': {
    console.log('ready');
    for (let i = 0; ; i++) {
      const key = `churn/${i % 7}/${id}/k${i % 3}`;
      // All bytes of an object are one value, so that a mixture or a part would show.
      await store.put(key, Buffer.alloc(200_000, randomBytes(1)));
      if (i % 2 === 0) {
        const upload = await store.upload(`churn/up/${id}`);
        await upload.put(1, 0, Buffer.alloc(100_000, i % 256));
        await upload.put(2, 100_000, Buffer.alloc(100_000, i % 256));
        await upload.complete();
      }
      if (i % 5 === 0) await store.delete([key]);
    }
  }
}
