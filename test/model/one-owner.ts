/**
 * A model of how shippers share a replica: the claim, the keys, and the answers of `sync()`, as states and steps.
 *
 * Two shippers run the same program against one bucket. Each step is one thing that the bucket does, or one decision of
 * a shipper; {@link explore} tries every order of steps, so every moment of a takeover is met, and a request that takes
 * long is one whose step comes late.
 *
 * What is left out: contents (a state is the name of the last commit in it), time, and failures of the store other than
 * a shipper that dies with a PUT under way.
 */

/** The rules under trial. The product follows {@link PRODUCT}; every other choice loses something. */
export interface Rules {
  /** When the claim is read before `sync()` is answered. */
  readonly answer: 'after-put' | 'before-put' | 'new-index-only';
  /** Whether the end of the replica is read again once the claim is taken. */
  readonly readAgain: boolean;
  /** What a shipper does that finds one of its two first keys taken. */
  readonly contested: 'read-again' | 'new-generation';
  /** Whether a new generation takes the two next keys of the one before it. */
  readonly close: boolean;
  /** Whether the claim is read again after the first snapshot. */
  readonly afterSnapshot: boolean;
  /** Whether a generation keeps its codec, or each shipper writes its own. */
  readonly codec: 'of-generation' | 'of-shipper';
}

export const PRODUCT: Rules = {
  answer: 'after-put',
  readAgain: true,
  contested: 'read-again',
  close: true,
  afterSnapshot: true,
  codec: 'of-generation',
};

type Name = 'A' | 'B';

interface Segment {
  readonly by: Name;
  readonly before: string;
  readonly after: string;
}

interface End {
  readonly generation: string;
  readonly index: number;
  readonly offset: number;
  readonly state: string;
}

type Phase = 'off' | 'listed' | 'claimed' | 'first' | 'second' | 'snapshot' | 'confirm' | 'work' | 'fenced' | 'dead';

interface Shipper {
  readonly phase: Phase;
  /** The claim that is to be replaced, and the generation that it names. */
  readonly former: number;
  readonly claimed: string | undefined;
  readonly end: End | undefined;
  /** The generation that is being closed before a new one begins. */
  readonly closes: boolean;
  /** Commits that the shipper saw in the bucket when it began. */
  readonly saw: readonly string[];
  readonly commits: number;
  /** The segment on its way: asked for, or stored and not answered yet. */
  readonly put: { readonly key: string; readonly segment: Segment; readonly stored: boolean } | undefined;
  /** The index for which the claim was read last. */
  readonly claimedIndex: number;
  /** Asked for by `sync()`: the commit, and whether the other shipper was at work when it was called. */
  readonly waits: { readonly commit: string; readonly late: boolean } | undefined;
  /** A read of the claim was answered since the last PUT (`mine`), or none was. */
  readonly read: boolean;
}

export interface State {
  /** Whose claim, and how often it was replaced. */
  readonly claim: { readonly owner: Name; readonly version: number; readonly generation: string } | undefined;
  readonly snapshots: Readonly<Record<string, string>>;
  /** By `generation/index/offset`, with `.codec` where each shipper writes its own. */
  readonly segments: Readonly<Record<string, Segment>>;
  readonly shippers: Readonly<Record<Name, Shipper>>;
  readonly answered: readonly { readonly by: Name; readonly commit: string; readonly late: boolean }[];
}

export interface Bounds {
  readonly commits: number;
  /** Whether both start on an empty replica, or A is at work when B starts. */
  readonly begin: 'empty' | 'at-work';
}

const OFF: Shipper = {
  phase: 'off',
  former: -1,
  claimed: undefined,
  end: undefined,
  closes: false,
  saw: [],
  commits: 0,
  put: undefined,
  claimedIndex: -1,
  waits: undefined,
  read: false,
};

export function start({ begin }: Bounds): State {
  const empty: State = {
    claim: undefined,
    snapshots: {},
    segments: {},
    shippers: { A: OFF, B: OFF },
    answered: [],
  };
  if (begin === 'empty') return empty;
  const end = { generation: 'A', index: 0, offset: 0, state: 'A0' };
  return {
    ...empty,
    claim: { owner: 'A', version: 1, generation: 'A' },
    snapshots: { A: 'A0' },
    shippers: { A: { ...OFF, phase: 'work', end, claimedIndex: 0 }, B: OFF },
  };
}

/** Every state that one step leads to. */
export function steps(state: State, rules: Rules, bounds: Bounds): State[] {
  return (['A', 'B'] as const).flatMap((name) => [
    ...beginning(state, name, rules),
    ...working(state, name, rules, bounds),
  ]);
}

function beginning(state: State, name: Name, rules: Rules): State[] {
  const me = state.shippers[name];
  const set = (change: Partial<Shipper>, more: Partial<State> = {}): State => change_(state, name, change, more);
  const { claim } = state;
  switch (me.phase) {
    case 'off':
      return [set({ phase: 'listed', former: claim?.version ?? 0, claimed: claim?.generation, ...listed(state) })];
    case 'listed': {
      if ((claim?.version ?? 0) !== me.former) {
        // Another claim came in between: of a shipper that began at the same time, or the former one's again.
        return [set({ phase: 'fenced' })];
      }
      const next: State[] = [];
      for (const fresh of me.end === undefined ? [true] : [false, true]) {
        const generation = fresh ? name : me.end!.generation;
        const taken = { owner: name, version: me.former + 1, generation };
        const phase: Phase = !fresh || (me.claimed !== undefined && rules.close) ? 'claimed' : 'snapshot';
        next.push(set({ phase, closes: fresh }, { claim: taken }));
      }
      return next;
    }
    case 'claimed': {
      const again = rules.readAgain ? listed(state, me.claimed) : { end: me.end, saw: me.saw };
      return [set({ phase: again.end === undefined ? 'snapshot' : 'first', ...again })];
    }
    case 'first':
      return [create(state, name, rules, me.end!, me.end!.state, 'second')];
    case 'second': {
      const { generation, index, state: last } = me.end!;
      const after = me.closes ? last : `${name}0`;
      return [create(state, name, rules, { generation, index: index + 1, offset: 0, state: last }, after, 'work')];
    }
    case 'snapshot': {
      const end = { generation: name, index: 0, offset: 0, state: `${name}0` };
      const snapshots = { ...state.snapshots, [name]: `${name}0` };
      return [set({ phase: rules.afterSnapshot ? 'confirm' : 'work', end, claimedIndex: 0 }, { snapshots })];
    }
    case 'confirm':
      return [set({ phase: claim?.owner === name ? 'work' : 'fenced' })];
    case 'work':
    case 'fenced':
    case 'dead':
      return [];
  }
}

/** One of the two keys at the end of the replica, which only one shipper can create. */
function create(state: State, name: Name, rules: Rules, at: End, after: string, next: Phase): State {
  const me = state.shippers[name];
  const key = keyOf(at, name, rules);
  if (state.segments[key] !== undefined) {
    if (rules.contested === 'read-again') {
      return change_(state, name, { phase: 'first', ...listed(state, at.generation) });
    }
    const claim = { owner: name, version: state.claim!.version + 1, generation: name };
    return change_(state, name, { phase: 'snapshot' }, { claim });
  }
  const segments = { ...state.segments, [key]: { by: name, before: at.state, after } };
  if (next === 'second') {
    return change_(state, name, { phase: next, end: { ...at, offset: at.offset + 1 } }, { segments });
  }
  if (me.closes) return change_(state, name, { phase: 'snapshot' }, { segments });
  const end = { ...at, offset: 1, state: after };
  return change_(state, name, { phase: next, end, claimedIndex: at.index }, { segments });
}

function working(state: State, name: Name, rules: Rules, bounds: Bounds): State[] {
  const me = state.shippers[name];
  const set = (change: Partial<Shipper>, more: Partial<State> = {}): State => change_(state, name, change, more);
  const next: State[] = [];
  const { put, end } = me;
  if (put !== undefined && !put.stored && (me.phase === 'work' || me.phase === 'dead')) {
    // The bucket carries the PUT out, whenever that is.
    const taken = state.segments[put.key] !== undefined;
    if (!taken) {
      const segments = { ...state.segments, [put.key]: put.segment };
      next.push(set({ put: { ...put, stored: true } }, { segments }));
    } else if (me.phase === 'work') next.push(set({ phase: 'fenced', put: undefined }));
  }
  if (me.phase !== 'work' || end === undefined) return next;
  if (put === undefined) {
    if (me.commits < bounds.commits) {
      const commit = `${name}${me.commits + 1}`;
      const here = end.offset > 0 ? [end, { ...end, index: end.index + 1, offset: 0 }] : [end];
      for (const at of here) {
        const segment = { by: name, before: end.state, after: commit };
        next.push(
          set({
            commits: me.commits + 1,
            put: { key: keyOf(at, name, rules), segment, stored: false },
            end: { ...at, offset: at.offset + 1, state: commit },
            read: rules.answer === 'before-put' && me.read,
          }),
        );
      }
    }
    next.push(...answering(state, name, rules));
  } else if (put.stored) {
    // The answer of the PUT arrives; at a new index the claim is read.
    const asks = end.index !== me.claimedIndex;
    const fenced = asks && state.claim?.owner !== name;
    next.push(
      set({
        put: undefined,
        claimedIndex: end.index,
        read: rules.answer === 'before-put' && me.read,
        ...(fenced && { phase: 'fenced' }),
      }),
    );
  }
  if (bounds.begin === 'at-work' && name === 'A') next.push(set({ phase: 'dead', waits: undefined }));
  return next;
}

/** Calls of `sync()`, reads of the claim for them, and answers. All that was committed is stored. */
function answering(state: State, name: Name, rules: Rules): State[] {
  const me = state.shippers[name];
  const set = (change: Partial<Shipper>, more: Partial<State> = {}): State => change_(state, name, change, more);
  const other = name === 'A' ? 'B' : 'A';
  if (me.waits === undefined) {
    const late = state.claim?.owner === other && state.shippers[other].phase === 'work';
    const read = rules.answer === 'before-put' && me.read;
    return [set({ waits: { commit: me.end!.state, late }, read })];
  }
  if (rules.answer !== 'new-index-only' && !me.read) {
    return [state.claim?.owner === name ? set({ read: true }) : set({ phase: 'fenced', waits: undefined })];
  }
  const answered = [...state.answered, { by: name, ...me.waits }];
  return [set({ waits: undefined, read: rules.answer === 'before-put' }, { answered: distinct(answered) })];
}

/** The end of the claimed generation, or of another one, as a listing shows it. */
function listed(state: State, named: string | undefined = state.claim?.generation): Pick<Shipper, 'end' | 'saw'> {
  const generation = named !== undefined && state.snapshots[named] !== undefined ? named : undefined;
  const saw = Object.values(state.segments).map(({ after }) => after);
  if (generation === undefined) return { end: undefined, saw };
  let end: End = { generation, index: 0, offset: 0, state: state.snapshots[generation]! };
  for (const { index, offset, segment } of chain(state, generation)) {
    end = { generation, index, offset: offset + 1, state: segment.after };
  }
  return { end, saw };
}

interface Placed {
  readonly index: number;
  readonly offset: number;
  readonly segment: Segment;
}

function chain(state: State, generation: string): Placed[] {
  return Object.entries(state.segments)
    .filter(([key]) => key.startsWith(`${generation}/`))
    .map(([key, segment]) => {
      const [, index = '', offset = ''] = key.split('/');
      return { index: Number.parseInt(index, 10), offset: Number.parseInt(offset, 10), segment };
    })
    .sort((a, b) => a.index - b.index || a.offset - b.offset);
}

function keyOf({ generation, index, offset }: End, name: Name, { codec }: Rules): string {
  return `${generation}/${index}/${offset}${codec === 'of-shipper' ? `.${name}` : ''}`;
}

function change_(state: State, name: Name, change: Partial<Shipper>, more: Partial<State> = {}): State {
  return { ...state, ...more, shippers: { ...state.shippers, [name]: { ...state.shippers[name], ...change } } };
}

function distinct(answered: State['answered']): State['answered'] {
  const seen = new Map(answered.map((each) => [JSON.stringify(each), each]));
  return [...seen.keys()].sort().map((key) => seen.get(key)!);
}

/** What must not be, in words; undefined for a state in which all is well. */
export function fault(state: State): string | undefined {
  for (const { by, commit, late } of state.answered) {
    if (late) return `sync() of ${by} was answered although it was called when the other one was at work`;
    const other = by === 'A' ? 'B' : 'A';
    const { phase, saw } = state.shippers[other];
    const isInSnapshot = Object.values(state.snapshots).includes(commit);
    if (phase === 'work' && state.claim?.owner === other && !saw.includes(commit) && !isInSnapshot) {
      return `${commit} was acknowledged, and the owner does not know of it`;
    }
  }
  if (state.snapshots['B'] !== undefined && !state.shippers.B.closes) {
    return 'a generation that could be gone on with was left, with a new snapshot';
  }
  for (const generation of Object.keys(state.snapshots)) {
    let last = { index: 0, offset: -1, state: state.snapshots[generation]! };
    for (const { index, offset, segment } of chain(state, generation)) {
      const follows =
        (index === last.index && offset === last.offset + 1) || (index === last.index + 1 && offset === 0);
      if (!follows || segment.before !== last.state) return `the WAL of generation ${generation} has a gap or a fork`;
      last = { index, offset, state: segment.after };
    }
  }
  return undefined;
}

/** Tries every order of steps. Returns how many states there are, and the shortest way to one that must not be. */
export function explore(
  rules: Rules,
  bounds: Bounds,
): { readonly states: number; readonly fault?: string; readonly way?: readonly State[] } {
  const first = start(bounds);
  const from = new Map<string, string | undefined>([[JSON.stringify(first), undefined]]);
  let front = [JSON.stringify(first)];
  while (front.length > 0) {
    const next: string[] = [];
    for (const text of front) {
      const state = JSON.parse(text) as State;
      const wrong = fault(state);
      if (wrong !== undefined) return { states: from.size, fault: wrong, way: wayTo(text, from) };
      for (const step of steps(state, rules, bounds)) {
        const key = JSON.stringify(step);
        if (from.has(key)) continue;
        from.set(key, text);
        next.push(key);
      }
    }
    front = next;
  }
  return { states: from.size };
}

function wayTo(text: string, from: ReadonlyMap<string, string | undefined>): State[] {
  const way: State[] = [];
  for (let at: string | undefined = text; at !== undefined; at = from.get(at)) way.unshift(JSON.parse(at) as State);
  return way;
}
