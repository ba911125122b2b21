/** What `seawall ship` says of the shipper's events: readable lines, or JSON lines. */
import { formatTime } from '../../replica/terms/target.ts';
import { formatSize } from '../../replica/terms/units.ts';
import type { ShipperEvent } from '../../shipper/protocol.ts';
import { BLOCKER_WORDS, LOSS_WORDS, REASON_WORDS } from '../../shipper/reasons.ts';
import type { Shipper } from '../../shipper/shipper.ts';
import type { JsonDocument } from '../json.ts';
import type { OnProgress, Terminal } from '../terminal/terminal.ts';
import { counted, spanWords } from './wording.ts';

/** The same trouble is told again after so long, milliseconds. */
const REPEAT = 60_000;

export class ShipLog {
  readonly #terminal: Terminal;
  readonly #verbose: boolean;
  readonly #interval: number;
  readonly #database: string | undefined;
  readonly #told = new Map<string, number>();
  #progress: { readonly what: string; readonly report: OnProgress } | undefined;
  #shipped = { segments: 0, bytes: 0, frames: 0 };
  #shippedAt = Number.NEGATIVE_INFINITY;
  /** The end of what was shipped, as far as it was told. */
  #position: string | undefined;

  /** With `database`, every line says that it is about that one of many. */
  constructor(
    terminal: Terminal,
    options: { readonly verbose: boolean; readonly interval: number; readonly database?: string },
  ) {
    this.#terminal = terminal;
    this.#verbose = options.verbose;
    this.#interval = options.interval;
    this.#database = options.database;
  }

  say(document: JsonDocument & { readonly event: string }, words: string): void {
    if (typeof document['position'] === 'string') this.#position = document['position'];
    const database = this.#database;
    const time = formatTime(Date.now());
    if (database === undefined) this.#terminal.print({ ...document, time }, [words]);
    else this.#terminal.print({ ...document, database, time }, words === '' ? [] : [`${database}: ${words}`]);
  }

  /** The database is safe in the replica as it is now. */
  async sayReady(shipper: Shipper): Promise<void> {
    const { database, replica, generation, position, checksum, pid } = await shipper.status();
    const words = this.#database === undefined ? `ready: ${database} is safe` : 'ready: safe';
    this.say(
      { event: 'ready', database, replica, generation, position, checksum, pid },
      `${words} at ${replica}, position ${position}`,
    );
  }

  sayStopped(): void {
    this.#flush();
    const where = this.#position === undefined ? 'nothing was shipped yet' : `all is shipped, to ${this.#position}`;
    this.say({ event: 'stopped', position: this.#position }, `stopped: ${where}`);
  }

  hear(event: ShipperEvent): void {
    const { type, ...facts } = event;
    switch (event.type) {
      case 'segment':
        this.#position = event.position;
        this.#shipped.segments++;
        this.#shipped.bytes += event.bytes;
        this.#shipped.frames += event.frames;
        if (this.#verbose && performance.now() - this.#shippedAt >= this.#interval) this.#flush();
        return;
      case 'progress':
        this.#show(event.what, event.done, event.total);
        return;
      case 'state':
        // The other events tell people the same; programs may want both.
        if (this.#terminal.json) this.say({ event: type, ...plain(facts) }, '');
        return;
      case 'lost':
        break;
      case 'blocked':
        if (!this.#isNew(`blocked by ${event.by}`)) return;
        break;
      case 'problem':
        // People hear it from the event `helper`.
        if (event.error.code === 'HELPER_ENDED' && !this.#terminal.json) return;
        if (!this.#terminal.json && !this.#isNew(`${event.error.code} ${event.error.message}`)) return;
        break;
      case 'recovered':
        this.#told.clear();
        break;
      case 'helper':
      case 'generation':
      case 'resumed':
      case 'restored':
      case 'snapshot':
        this.#terminal.endProgress();
        this.#progress = undefined;
        break;
    }
    this.say({ event: type, ...plain(facts) }, wordsOf(event));
  }

  /** Tells what was shipped since it was last told, when --verbose asks for it. */
  #flush(): void {
    const { segments, bytes, frames } = this.#shipped;
    if (!this.#verbose || segments === 0) return;
    this.#shipped = { segments: 0, bytes: 0, frames: 0 };
    this.#shippedAt = performance.now();
    const position = this.#position;
    this.say(
      { event: 'shipped', position, segments, bytes, frames },
      `shipped ${counted(segments, 'segment')}, ${formatSize(bytes)}, to ${position}`,
    );
  }

  #show(what: 'snapshot' | 'restore', done: number, total: number | undefined): void {
    if (this.#database !== undefined) return; // bars of many at a time would hide each other
    if (this.#progress?.what !== what) this.#progress = { what, report: this.#terminal.progress(what, 'bytes') };
    this.#progress.report(done, total);
  }

  #isNew(trouble: string): boolean {
    const now = performance.now();
    if (now - (this.#told.get(trouble) ?? Number.NEGATIVE_INFINITY) < REPEAT) return false;
    this.#told.set(trouble, now);
    return true;
  }
}

type Facts<E> = E extends unknown ? Omit<E, 'type'> : never;

function plain(facts: Facts<ShipperEvent>): JsonDocument {
  return facts as unknown as JsonDocument;
}

function wordsOf(event: ShipperEvent): string {
  switch (event.type) {
    case 'generation': {
      const { generation, reason, pages, milliseconds } = event;
      return `generation ${generation} started (${REASON_WORDS[reason]}): ${counted(pages, 'page')} in ${spanWords(milliseconds)}`;
    }
    case 'resumed': {
      const { generation, way, pages } = event;
      return `generation ${generation} resumed (${way}): ${counted(pages, 'page')} differed`;
    }
    case 'restored':
      return `restored to ${event.position}: ${formatSize(event.bytes)}, checksum ${event.checksum}`;
    case 'snapshot':
      return `snapshot ${event.key}, ${formatSize(event.bytes)}`;
    case 'problem':
      return `problem (try ${event.failures}): ${event.error.message}`;
    case 'recovered':
      return `recovered after ${counted(event.failures, 'failed try', 'failed tries')}`;
    case 'lost':
      return `the WAL cannot be followed on (${LOSS_WORDS[event.cause]}): ${event.message}`;
    case 'blocked':
      return `waiting: ${BLOCKER_WORDS[event.by]} keeps the WAL from being ended`;
    case 'helper':
      return event.change === 'ended'
        ? `the helper process ${event.how}; the next one starts in ${spanWords(event.delay)}`
        : `a new helper process (${event.pid}) goes on`;
    case 'segment':
    case 'progress':
    case 'state':
      return '';
  }
}
