/** Which responses wait until what they answer for is in the replica, for how long, and what is answered if it is not. */
import { parseDuration } from '../../replica/terms/units.ts';

/** What the middleware needs of a shipper. */
export interface DurableSource {
  /** Resolves when everything committed before the call is in the replica; rejects when shipping has ended. */
  durable(): Promise<unknown>;
}

/** Which responses are held, and for how long. */
export interface DurableResponsesOptions {
  /** How long a response is held at most, milliseconds or text such as '5s'. Default '5s'. */
  readonly timeLimit?: string | number;
  /** Methods whose responses are held. Default: POST, PUT, PATCH, DELETE. */
  readonly methods?: readonly string[];
}

/** Sent instead of the app's response when the limit passes or shipping has ended. */
export const NOT_DURABLE = {
  status: 503,
  headers: { 'content-type': 'application/json; charset=utf-8', 'retry-after': '1' },
  body: JSON.stringify({
    code: 'NOT_DURABLE',
    message: 'The change was made, but it is not in the backup yet. It is uploaded as soon as that is possible.',
  }),
} as const;

const WRITES = ['POST', 'PUT', 'PATCH', 'DELETE'];

export class DurableWait {
  readonly #shipper: DurableSource;
  readonly #limit: number;
  readonly #methods: ReadonlySet<string>;

  /** Throws a TypeError or RangeError that names the option when one is wrong. */
  constructor(shipper: DurableSource, { timeLimit = '5s', methods = WRITES }: DurableResponsesOptions = {}) {
    this.#shipper = shipper;
    this.#limit = parseDuration(timeLimit, 'timeLimit');
    this.#methods = new Set(methods.map((method) => method.toUpperCase()));
  }

  /** Whether a response waits. One that tells of an error does not: it promises nothing. */
  concerns(method: string | undefined, status: number): boolean {
    return status < 400 && this.#methods.has((method ?? '').toUpperCase());
  }

  /** Resolves with whether everything committed before the call is in the replica; false at the time limit. Never rejects. */
  async reached(): Promise<boolean> {
    const { promise: late, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(resolve, this.#limit, false);
    try {
      const durable = this.#shipper.durable().then(
        () => true,
        () => false,
      );
      return await Promise.race([durable, late]);
    } catch {
      return false;
    } finally {
      clearTimeout(timer);
    }
  }
}
