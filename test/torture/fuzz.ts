/**
 * Fuzzes the decoders: mutated segments, snapshots and control objects. A decoder answers each with an error of its own
 * that names the object, or with the very content of the original; it never crashes, hangs or allocates what a mutant
 * claims.
 *
 *     node test/torture/fuzz.ts --seed 1 --count 10000
 *
 * Exit codes: 0 all held; 1 a finding, with the mutant's file; 2 the command line is wrong.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual, parseArgs } from 'node:util';
import { isKind } from '../../replica/terms/errors.ts';
import { memoryStore } from '../../replica/store/memory.ts';
import { Seeded } from '../history/seeded.ts';
import {
  controlSubject,
  segmentSubject,
  snapshotSubject,
  type Reader,
  type Subject,
} from '../replica/format/subjects.ts';
import { mutate, type Kind, type Mutant } from './mutations.ts';

/** Milliseconds that reading one mutant may take. The objects are small; this is for machines under load. */
const PATIENCE = 20_000;
/** Bytes of memory that all of it may take. */
const MEMORY = 400 << 20;

export interface FuzzReport {
  readonly mutants: number;
  /** Answered with an error of the decoder’s own, by code. */
  readonly refused: Readonly<Record<string, number>>;
  /** Decoded to the original’s content. */
  readonly unharmed: number;
  /** Bytes of memory gained at most. */
  readonly memory: number;
}

interface Victim {
  readonly kind: Kind;
  readonly subject: Subject;
}

async function victims(seed: number): Promise<Victim[]> {
  const control = (['claim', 'head', 'floors'] as const).map(controlSubject);
  return [
    { kind: 'segment', subject: await segmentSubject(seed, 'lz4') },
    { kind: 'segment', subject: await segmentSubject(seed + 1, 'zstd') },
    { kind: 'snapshot', subject: await snapshotSubject(seed, 'lz4', 3) },
    { kind: 'snapshot', subject: await snapshotSubject(seed + 1, 'zstd', 40) },
    { kind: 'snapshot', subject: await snapshotSubject(seed + 2, 'lz4', 2100) },
    ...(await Promise.all(control)).map((subject) => ({ kind: 'control', subject }) as const),
  ];
}

/** Tries `count` mutants of each object. Throws at the first that is not answered as it must be, with its file. */
export async function fuzz(seed: number, count: number): Promise<FuzzReport> {
  const all = await victims(seed);
  const refused: Record<string, number> = {};
  let unharmed = 0;
  let memory = 0;
  const before = process.memoryUsage.rss();
  for (const [number, { kind, subject }] of all.entries()) {
    const random = new Seeded(seed * 100 + number);
    const others = all.filter((other) => other.kind === kind).map((other) => other.subject.bytes);
    const good = await readAll(subject, subject.bytes);
    for (let i = 0; i < count; i++) {
      const mutant = mutate(subject.bytes, kind, others, random);
      if (mutant.bytes.equals(subject.bytes)) continue;
      try {
        const codes = await answer(subject, kind, mutant, good);
        if (codes.length === 0) unharmed++;
        for (const code of codes) refused[code] = (refused[code] ?? 0) + 1;
      } catch (error) {
        throw new Error(`${subject.key}, mutant ${i} (${mutant.how}), in ${keep(mutant, seed, i)}: ${String(error)}`, {
          cause: error,
        });
      }
      memory = Math.max(memory, process.memoryUsage.rss() - before);
      if (memory > MEMORY) throw new Error(`${subject.key}, mutant ${i} (${mutant.how}): ${memory} bytes of memory`);
    }
  }
  return { mutants: count * all.length, refused, unharmed, memory };
}

async function readAll(subject: Subject, bytes: Buffer): Promise<Map<Reader, unknown>> {
  const store = memoryStore();
  await store.put(subject.key, bytes);
  const results = new Map<Reader, unknown>();
  for (const reader of [...subject.strict, ...subject.partial]) results.set(reader, await reader(store, bytes.length));
  return results;
}

/** The codes with which the mutant was refused; throws when an answer is none that may be given. */
async function answer(
  subject: Subject,
  kind: Kind,
  { bytes, forged }: Mutant,
  good: ReadonlyMap<Reader, unknown>,
): Promise<string[]> {
  const store = memoryStore();
  await store.put(subject.key, bytes);
  const codes: string[] = [];
  for (const reader of [...subject.strict, ...subject.partial]) {
    const strict = subject.strict.includes(reader);
    const began = performance.now();
    try {
      const result = await reader(store, bytes.length);
      // What a forger may say freely (another time, another owner) makes another fact, but never other content.
      const comparable = !forged || (strict && kind !== 'control');
      if (comparable && !isDeepStrictEqual(result, good.get(reader))) throw new Error('decoded to something else');
    } catch (error) {
      if (!isKind(error, 'corrupt', 'unsupported')) throw error;
      if (error.facts.key !== subject.key) throw new Error('the error names another object', { cause: error });
      if (strict) codes.push(error.code);
    }
    const took = performance.now() - began;
    if (took > PATIENCE) throw new Error(`took ${Math.round(took)} ms`);
  }
  return codes;
}

function keep({ bytes }: Mutant, seed: number, number: number): string {
  const folder = join(tmpdir(), 'seawall-fuzz');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `seed-${seed}-mutant-${number}`);
  writeFileSync(path, bytes);
  return path;
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { seed: { type: 'string' }, count: { type: 'string', default: '10000' } } });
  const seed = Number(values.seed ?? 1 + Math.floor(Math.random() * 1e6));
  const count = Number(values.count);
  if (!Number.isSafeInteger(seed) || !(count > 0)) {
    process.stderr.write('usage: node test/torture/fuzz.ts [--seed n] [--count n]\n');
    process.exit(2);
  }
  try {
    process.stdout.write(`${JSON.stringify({ seed, ...(await fuzz(seed, count)) })}\n`);
  } catch (error) {
    process.stderr.write(`${String(error)}\nrerun: node test/torture/fuzz.ts --seed ${seed} --count ${count}\n`);
    process.exitCode = 1;
  }
}
