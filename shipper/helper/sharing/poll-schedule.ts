/**
 * One timer for all databases of the helper. A database that has news, or had some a moment ago, is looked at again
 * soon. Quiet ones are looked at less often, the more of them there are.
 */
import { setImmediate as breathe } from 'node:timers/promises';
import type { Clock } from '../../clock.ts';

/**
 * What a look found: commits that wait, more commits than can wait, none, or a failure, after which the next look comes
 * later.
 */
export type PollResult = 'news' | 'behind' | 'quiet' | 'failed';

/** Milliseconds between two looks, for each kind of result. A look that finds nothing reads 136 bytes. */
const SOON = 40;
const AT_ONCE = 15;
const AFTER_FAILURE = 1000;
/** How long after its last news a database is still looked at soon, in milliseconds. */
const LIVELY = 2000;
/** Milliseconds that each quiet database adds to the time between two looks at any of them. */
const PER_DATABASE = 1;
/** The timer's shortest pause, and how long looks go on before other events have their turn, in milliseconds. */
const SHORTEST_PAUSE = 5;
const SLICE = 10;

interface Member {
  readonly look: () => PollResult;
  readonly atLeastEvery: number;
  due: number;
  news: number;
}

export class PollSchedule {
  readonly #clock: Clock;
  readonly #members = new Set<Member>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Calls `look` again and again, at least every `atLeastEvery` milliseconds unless looks fail. Returns how to end
   * that. `look` must not throw.
   */
  add(look: () => PollResult, atLeastEvery: number): () => void {
    const member = { look, atLeastEvery, due: 0, news: this.#clock.steady() };
    this.#members.add(member);
    this.#schedule();
    return () => {
      this.#members.delete(member);
      if (this.#members.size === 0) clearTimeout(this.#timer);
    };
  }

  #schedule(): void {
    if (this.#looking || this.#members.size === 0) return;
    let due = Infinity;
    for (const member of this.#members) due = Math.min(due, member.due);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#round(), Math.max(due - this.#clock.steady(), SHORTEST_PAUSE));
  }

  async #round(): Promise<void> {
    this.#looking = true;
    let slice = this.#clock.steady();
    for (const member of [...this.#members]) {
      if (member.due > slice || !this.#members.has(member)) continue;
      this.#look(member);
      if (this.#clock.steady() - slice < SLICE) continue;
      await breathe();
      slice = this.#clock.steady();
    }
    this.#looking = false;
    this.#schedule();
  }

  #look(member: Member): void {
    const found = member.look();
    const now = this.#clock.steady();
    if (found === 'news' || found === 'behind') member.news = now;
    member.due = now + this.#pause(found, now - member.news > LIVELY, member.atLeastEvery);
  }

  #pause(found: PollResult, quiet: boolean, atLeastEvery: number): number {
    if (found === 'failed') return AFTER_FAILURE;
    const soon = found === 'behind' ? AT_ONCE : SOON;
    return Math.min(quiet ? Math.max(soon, this.#members.size * PER_DATABASE) : soon, atLeastEvery);
  }
}
