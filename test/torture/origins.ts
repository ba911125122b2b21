/**
 * Checks the origins of generations: each names the reason why the one before could not be continued, and the bucket
 * must confirm it. A new generation is a finding if continuity should have held.
 */
import { isKind, SeawallError } from '../../replica/terms/errors.ts';
import { parseSnapshotHeader, SNAPSHOT_HEADER_LENGTH, type SnapshotFacts } from '../../replica/format/snapshot.ts';
import { parseKey } from '../../replica/terms/layout.ts';
import { readReplicaEnd, type ReplicaEnd } from '../../replica/takeover/replica-end.ts';
import { isBlockSnapshot, openSnapshot } from '../../replica/objects/snapshot-reader.ts';
import { listGenerations } from '../../replica/catalogue/timeline.ts';
import { count } from './figures.ts';
import { Finding, hold } from './finding.ts';
import { BUCKET, DATABASE, ROOT, type World } from './world.ts';

/** The bound of the shipper: past this share of differing pages a snapshot is made. */
const MOSTLY = 0.5;

export class Origins {
  readonly #world: World;
  readonly #begun: string[] = [];
  #checking = Promise.resolve();

  constructor(world: World) {
    this.#world = world;
    const prefix = `${ROOT}${DATABASE}/generations/`;
    world.server.events.subscribe(BUCKET, { prefix }, ({ Records }) => {
      for (const { s3 } of Records) this.#created(s3.object.key);
    });
  }

  /** Waits until every generation there is was looked at. */
  async checked(): Promise<void> {
    await this.#checking;
  }

  #created(fullKey: string): void {
    const name = parseKey(fullKey.slice(`${ROOT}${DATABASE}/`.length));
    if (name?.kind !== 'snapshot') return;
    if (this.#begun.includes(name.generation)) {
      this.#world.figures.compactions++;
      return;
    }
    const facts = parseSnapshotHeader(this.#world.server.peek(BUCKET, fullKey).subarray(0, SNAPSHOT_HEADER_LENGTH));
    const first = this.#begun.length === 0;
    const { takeover } = this.#world;
    this.#begun.push(name.generation);
    this.#world.note('generation', { generation: name.generation, reason: facts.reason, parent: facts.parent });
    count(this.#world.figures.generations, facts.reason);
    this.#checking = this.#checking.then(() =>
      this.#check(facts, first, takeover).catch((error: unknown) => {
        // An outage, or retention, took away what there was to look at.
        if (isKind(error, 'unreachable', 'missing')) this.#world.note('origin not checked', String(error));
        else this.#world.fail(error);
      }),
    );
  }

  async #check(facts: SnapshotFacts, first: boolean, takeover: boolean): Promise<void> {
    const { generation, reason, parent } = facts;
    const name = `generation ${generation}, begun because of ${reason}`;
    switch (reason) {
      case 'new-replica':
        hold(first, () => `${name}: there was a replica`);
        return;
      case 'generation-without-snapshot':
        hold(parent !== undefined && !this.#begun.includes(parent), () => `${name}: ${parent} has a snapshot`);
        return;
      case 'codec-changed':
        hold(takeover, () => `${name}: nobody else was at work`);
        return;
      case 'unfinished-transaction':
      case 'mostly-different': {
        const { differing, pages, unfinished } = await this.#difference(facts);
        // One that was taken over from may have finished its transaction after it was looked at.
        const asSaid = unfinished === (reason === 'unfinished-transaction');
        hold(
          takeover || asSaid,
          () => `${name}: ${parent} ends ${unfinished ? 'inside a transaction' : 'on a commit'}`,
        );
        hold(
          (takeover && !asSaid) || differing > MOSTLY * pages,
          () => `${name}: ${differing} of ${pages} pages differ from the end of ${parent}`,
        );
        return;
      }
      default:
        throw new Finding(`${name}: that must not happen here`);
    }
  }

  async #endOf(id: string | undefined): Promise<ReplicaEnd> {
    const { generations } = await listGenerations(this.#world.store, undefined, true);
    const generation = generations.find((each) => each.id === id);
    if (generation === undefined) throw new SeawallError('missing', 'GONE', `generation ${id} is not there any more`);
    return await readReplicaEnd(this.#world.store, generation);
  }

  async #difference(
    facts: SnapshotFacts,
  ): Promise<{ readonly differing: number; readonly pages: number; readonly unfinished: boolean }> {
    const { store } = this.#world;
    const end = await this.#endOf(facts.parent);
    const { generations } = await listGenerations(store, undefined, true);
    const ref = generations.find(({ id }) => id === facts.generation)?.snapshots[0];
    if (ref?.index !== 0) throw new SeawallError('missing', 'GONE', 'the snapshot is not there any more');
    const snapshot = await openSnapshot(store, facts.generation, ref);
    if (!isBlockSnapshot(snapshot)) throw new Finding(`${snapshot.key} is none of ours`);
    const hashes = await snapshot.hashes();
    let differing = 0;
    for (let page = 1; page <= hashes.pages; page++) {
      if (page > end.hashes.pages || hashes.get(page) !== end.hashes.get(page)) differing++;
    }
    return { differing, pages: hashes.pages, unfinished: end.unfinished };
  }
}
