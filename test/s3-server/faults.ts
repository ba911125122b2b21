import { isConditionalWrite } from './conditions.ts';
import type { RequestTarget } from './request.ts';
import { seededRandom } from './seeded-random.ts';

interface FaultScope {
  /** The requests that the rule applies to. @default all */
  readonly match?: (request: RequestTarget) => boolean;
  /** Probability that a matching request is hit. @default 1 */
  readonly probability?: number;
  /** Most requests that are hit. @default no limit */
  readonly times?: number;
  /** How many matching requests are let through first. @default 0 */
  readonly after?: number;
  /** Called when a request is hit: for `lost-ack` after the operation, for all other kinds before it. */
  readonly strike?: () => void;
}

/** The kinds of faults. No kind damages stored objects. */
export type Fault =
  /** Answers with this status and S3 error code; the operation is not carried out. */
  | { readonly kind: 'status'; readonly status: number; readonly code: string }
  /** Destroys the connection before anything is read of the body. */
  | { readonly kind: 'reset' }
  /** Sends half of the body under the full Content-Length, then ends the connection. */
  | { readonly kind: 'cut' }
  /**
   * Carries the operation out and answers `latency` milliseconds later, so that a client that gives up meanwhile does
   * not know. With `delay: 'operation'` the wait comes first. With a promise as `latency` the answer comes once that
   * has resolved, however long the test takes for what it does meanwhile.
   */
  | { readonly kind: 'slow'; readonly latency: number | Promise<unknown>; readonly delay?: 'answer' | 'operation' }
  /** Carries the operation out and destroys the connection in place of the answer. */
  | { readonly kind: 'lost-ack' }
  /** Never answers, and does nothing. */
  | { readonly kind: 'hang' }
  /** Answers 409 ConditionalRequestConflict; only requests with If-Match or If-None-Match match. */
  | { readonly kind: 'conflict-409' };

export type FaultRule = FaultScope & Fault;

export interface FaultHandle {
  /** How many requests were hit so far. */
  readonly hits: number;
  remove(): void;
}

interface ActiveRule {
  readonly rule: FaultRule;
  matched: number;
  hits: number;
}

const WRITES = new Set(['PutObject', 'CompleteMultipartUpload', 'CopyObject', 'DeleteObject']);

/**
 * The rules by which requests fail. Rules are tried in the order of addition. The first that hits decides, but delays
 * add up.
 */
export class Faults {
  readonly #rules = new Set<ActiveRule>();
  #random = seededRandom(1);

  add(rule: FaultRule): FaultHandle {
    const active: ActiveRule = { rule, matched: 0, hits: 0 };
    this.#rules.add(active);
    return {
      get hits() {
        return active.hits;
      },
      remove: () => void this.#rules.delete(active),
    };
  }

  clear(): void {
    this.#rules.clear();
  }

  /** Restarts the random sequence. The same requests in the same order then get the same faults. */
  seed(seed: number): void {
    this.#random = seededRandom(seed);
  }

  /** Returns the faults of a request. Call it once for each request. */
  next(request: RequestTarget): FaultRule[] {
    const faults: FaultRule[] = [];
    for (const active of this.#rules) {
      if (!this.#hits(active, request)) continue;
      faults.push(active.rule);
      if (active.rule.kind !== 'slow') break;
    }
    return faults;
  }

  #hits(active: ActiveRule, request: RequestTarget): boolean {
    const { match, probability = 1, times = Infinity, after = 0, kind } = active.rule;
    if (kind === 'conflict-409' && !(WRITES.has(request.op) && isConditionalWrite(request.headers))) return false;
    if (match && !match(request)) return false;
    active.matched++;
    if (active.matched <= after || active.hits >= times) return false;
    if (probability < 1 && this.#random() >= probability) return false;
    active.hits++;
    return true;
  }
}
