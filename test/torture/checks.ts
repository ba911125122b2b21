/** What must hold whenever everything rests: after each round. */
import { readFileSync, rmSync } from 'node:fs';
import { isKind, SeawallError } from '../../replica/terms/errors.ts';
import { segmentKey } from '../../replica/terms/layout.ts';
import { formatPosition, parsePosition } from '../../replica/terms/position.ts';
import { restorableRanges } from '../../replica/plan/ranges.ts';
import { restore, type Restored } from '../../replica/restore/restore.ts';
import { readSegmentHeader } from '../../replica/objects/segment-reader.ts';
import { formatTarget, formatTime, LATEST, type Target } from '../../replica/terms/target.ts';
import { snapshotTime } from '../../replica/catalogue/generation.ts';
import { loadTimeline, type Timeline } from '../../replica/catalogue/timeline.ts';
import { verify } from '../../replica/verification/verify.ts';
import type { Seeded } from '../history/seeded.ts';
import { imageOf } from '../shipper/scene.ts';
import { checkContent, comparePlaces, type State } from './content.ts';
import { Finding, hold } from './finding.ts';
import { resealSegment } from './mutations.ts';
import { BUCKET, DATABASE, ROOT, type World } from './world.ts';

/** Milliseconds by which the rounding of SQLite’s clock and of ours may differ. */
const ROUNDING = 2;
/** Bytes of a segment at which its marks begin, of each mark, and of the checksum in it; see docs/FORMAT.md. */
const FIRST_MARK = 8 + 92;
const MARK_LENGTH = 32;
const MARK_CHECKSUM = 16;
const POSITIONS = 5;
const TIMES = 4;

export interface Point extends State {
  readonly restored: Restored;
}

/** Restores and checks the content; undefined when nothing can be restored yet and nothing was promised. */
export async function restoreAndCheck(world: World, target: Target): Promise<Point> {
  const path = world.scratchFile();
  try {
    const restored = await restore(world.store, path, { target, memory: 1 << 20 });
    hold(restored.proof === 'recorded', () => `restored ${restored.position} without the proof of a recorded checksum`);
    world.figures.restores++;
    world.figures.bytes += restored.bytes;
    let state: State;
    try {
      state = checkContent(path);
    } catch (error) {
      throw new Finding(`restored ${formatTarget(target)}, ${restored.position}: ${String(error)}`, { cause: error });
    }
    hold(
      state.at <= restored.time + ROUNDING,
      () => `${restored.position} holds a commit of ${state.at}, after its time ${restored.time}`,
    );
    if (target.kind === 'time') {
      hold(restored.time <= target.time, () => `asked for ${formatTarget(target)}, got ${formatTime(restored.time)}`);
      const promised = world.promises.by(target.time);
      if (promised !== undefined) {
        hold(
          comparePlaces(state, promised) >= 0,
          () => `${formatTarget(target)} restores ${showPlace(state)}, but ${showPlace(promised)} was promised by then`,
        );
      }
    }
    return { ...state, restored };
  } finally {
    rmSync(path, { force: true });
  }
}

/** Nothing may be restored, and nothing needs to be: no snapshot was finished yet. */
export function isEmpty(error: unknown): boolean {
  return error instanceof SeawallError && (error.code === 'REPLICA_EMPTY' || error.code === 'NO_SNAPSHOT');
}

/** Latest is at or after the last promise, and a committed state. */
export async function checkLatest(world: World): Promise<Point | undefined> {
  const promised = world.promises.last;
  try {
    const point = await restoreAndCheck(world, LATEST);
    if (promised !== undefined) {
      hold(
        comparePlaces(point, promised) >= 0,
        () => `latest is ${showPlace(point)}, but ${showPlace(promised)} was promised`,
      );
    }
    return point;
  } catch (error) {
    if (isEmpty(error) && promised === undefined) return undefined;
    throw error;
  }
}

/** Everything, with the bucket at rest. `complete`: the shipper ended in peace, so nothing is missing. */
export async function checkAll(world: World, random: Seeded, complete: boolean): Promise<void> {
  await world.origins.checked();
  const latest = await checkLatest(world);
  if (latest === undefined) return;
  if (complete) await checkIdentical(world);
  const timeline = await loadTimeline(world.store);
  await checkPositions(world, timeline, random);
  await checkTimes(world, timeline, random);
  await checkLie(world, timeline);
  const { problems } = await verify(world.store);
  hold(problems.length === 0, () => `verify: ${problems.map(({ message }) => message).join('; ')}`);
  checkOverwrites(world);
}

async function checkIdentical(world: World): Promise<void> {
  const path = world.scratchFile();
  await restore(world.store, path);
  const image = imageOf(world.database, world.scratchFile());
  hold(readFileSync(path).equals(image), () => 'what is restored is not, byte for byte, the database');
  rmSync(path);
}

/** Every restorable point named is one, and later points hold later states. */
async function checkPositions(world: World, timeline: Timeline, random: Seeded): Promise<void> {
  for (const generation of timeline.generations) {
    const named = new Set<string>();
    const floor = timeline.floors.get(generation.id) ?? 0;
    for (const { first, last } of await restorableRanges(world.store, generation, floor)) {
      named.add(first.position).add(last.position);
      const marks = await marksWithin(world, generation, first.position, last.position);
      for (let i = 0; i < POSITIONS && marks.length > 0; i++) named.add(random.pick(marks));
    }
    let before: Point | undefined;
    for (const name of [...named].sort()) {
      const position = parsePosition(name);
      if (position === undefined) throw new Finding(`${name} is no position`);
      const point = await restoreAndCheck(world, { kind: 'position', position });
      if (before !== undefined) {
        const { restored } = before;
        hold(comparePlaces(before, point) <= 0, () => `${restored.position} holds more than ${name}, which is later`);
        hold(restored.time <= point.restored.time, () => `${name} is dated before ${restored.position}`);
      }
      before = point;
    }
  }
}

async function marksWithin(
  world: World,
  generation: Timeline['generations'][number],
  first: string,
  last: string,
): Promise<string[]> {
  const marks: string[] = [];
  for (const segment of generation.segments) {
    const header = await readSegmentHeader(world.store, generation.id, segment);
    for (const { offset, restorable } of header?.marks ?? []) {
      const name = formatPosition({ generation: generation.id, index: segment.index, offset });
      if (restorable && name >= first && name <= last) marks.push(name);
    }
  }
  return marks;
}

/** Every moment of the window is there; beyond it, what is restored is right or refused by name. */
async function checkTimes(world: World, timeline: Timeline, random: Seeded): Promise<void> {
  const oldest = timeline.generations.find(({ snapshots }) => snapshots.length > 0);
  if (oldest === undefined) return;
  const now = Date.now();
  const start = await snapshotTime(world.store, oldest.id, oldest.snapshots[0]!);
  const windowStart = world.lastSweep - world.plan.retention.window;
  const times = Array.from({ length: TIMES }, () => start - 2000 + random.int(now - start + 2000));
  const promises = world.promises.all;
  for (let i = 0; i < TIMES && promises.length > 0; i++) times.push(random.pick(promises).at);
  for (const time of times) {
    try {
      await restoreAndCheck(world, { kind: 'time', time });
    } catch (error) {
      const refused = error instanceof SeawallError && error.kind === 'point';
      // What the first snapshot that ever was does not reach was never promised; a swept past need not be there.
      const promised = time >= windowStart && world.promises.by(time) !== undefined;
      if (!refused || promised) throw error;
    }
  }
}

/** A recorded checksum that is not the database’s, under right CRCs, does not pass for a proof. */
async function checkLie(world: World, timeline: Timeline): Promise<void> {
  const generation = timeline.current;
  const [range] =
    generation === undefined ? [] : await restorableRanges(world.store, generation, timeline.floors.get(generation.id));
  const position = range && parsePosition(range.last.position);
  if (generation === undefined || position === undefined || position.offset === 0) return;
  const ref = generation.segments.findLast(({ index, offset }) => index === position.index && offset < position.offset);
  if (ref === undefined) throw new Finding(`no segment holds ${range!.last.position}`);
  const key = `${ROOT}${DATABASE}/${segmentKey(generation.id, ref.index, ref.offset, ref.codec)}`;
  const truth = world.server.peek(BUCKET, key);
  const lie = Buffer.from(truth);
  const header = await readSegmentHeader(world.store, generation.id, ref);
  const mark = header!.marks.findIndex(({ offset }) => offset === position.offset);
  lie[FIRST_MARK + mark * MARK_LENGTH + MARK_CHECKSUM]! ^= 1;
  resealSegment(lie);
  world.server.poke(BUCKET, key, lie);
  const path = world.scratchFile();
  try {
    await restore(world.store, path, { target: { kind: 'position', position } });
  } catch (error) {
    if (isKind(error, 'corrupt')) return;
    throw error;
  } finally {
    world.server.poke(BUCKET, key, truth);
    rmSync(path, { force: true });
  }
  throw new Finding(`${range!.last.position} was restored although its recorded checksum is another`);
}

/** Only control objects are ever replaced. */
function checkOverwrites(world: World): void {
  const prefix = `${ROOT}${DATABASE}/seawall/`;
  const replaceable = new Set([`${prefix}claim`, `${prefix}head`, `${prefix}floors`]);
  const wrong = world.server.overwrites().filter(({ key }) => !replaceable.has(key));
  hold(wrong.length === 0, () => `overwritten: ${wrong.map(({ key }) => key).join(', ')}`);
}

function showPlace({ branch, n }: { readonly branch: number; readonly n: number }): string {
  return `commit ${n}${branch === 0 ? '' : ` of branch ${branch}`}`;
}
