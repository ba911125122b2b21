/** The guards of the product that a torture run must miss: which text of the sources each is, and what breaks it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CampaignPlan } from './plan.ts';

export interface Edit {
  readonly file: string;
  /** This text, which must be there exactly once, … */
  readonly intact: string;
  /** … becomes this. */
  readonly broken: string;
}

export interface Guard {
  readonly edits: readonly Edit[];
  /** What a plan must hold for the guard to be needed at all. */
  readonly needed: (plan: CampaignPlan) => boolean;
}

const always = (): boolean => true;
const takenOver = ({ rounds }: CampaignPlan): boolean =>
  rounds[0]!.aftermath === 'taken-over' || rounds[1]!.aftermath === 'taken-over';
const changed = ({ rounds }: CampaignPlan): boolean => rounds[0]!.aftermath === 'changed-offline';
const checkpointing = ({ rounds }: CampaignPlan): boolean =>
  rounds.slice(0, 2).some(({ writers }) => writers.some(({ manner }) => manner === 'hostile'));

export const GUARDS: Readonly<Record<string, Guard>> = {
  'the pin is handed over': {
    edits: [
      {
        file: 'shipper/helper/database/live-database.ts',
        intact: '    this.#connections.end(before);\n  }',
        broken: '    this.#connections.end(before);\n    this.#connections.end(this.#pinned);\n  }',
      },
    ],
    needed: checkpointing,
  },
  'acknowledged once uploaded': {
    edits: [
      {
        file: 'shipper/helper/upload/uploader.ts',
        intact: "await store.put(segment.key, segment.bytes, 'absent');",
        broken: "void store.put(segment.key, segment.bytes, 'absent').catch(() => undefined);",
      },
    ],
    needed: always,
  },
  'segments are created, never replaced': {
    edits: [
      {
        file: 'shipper/helper/upload/uploader.ts',
        intact: "await store.put(segment.key, segment.bytes, 'absent');",
        broken: 'await store.put(segment.key, segment.bytes);',
      },
    ],
    needed: takenOver,
  },
  'the claim is obeyed': {
    edits: [
      {
        file: 'shipper/helper/upload/claim.ts',
        intact: "|| this.#isOlder(claim)) return 'replica-lost';\n    throw takenOver(claim.holder);",
        broken: "|| this.#isOlder(claim)) return 'replica-lost';\n    return undefined;",
      },
      {
        file: 'shipper/helper/upload/claim.ts',
        intact: 'if (isRestart && claim !== undefined && claim.owner !== this.#owner.owner && !this.#isOlder(claim)) {',
        broken: "if (isRestart && claim !== undefined && claim.owner === '') {",
      },
    ],
    needed: takenOver,
  },
  'a restore is compared with the recorded checksum': {
    edits: [
      {
        file: 'replica/image/image-proof.ts',
        intact: 'if (actual.pages === expected.pages && actual.checksum === expected.checksum) return;',
        broken: 'if (actual.pages === expected.pages) return;',
      },
    ],
    needed: always,
  },
  'resuming ships the difference': {
    edits: [
      {
        file: 'shipper/helper/beginning/resume.ts',
        intact: 'if (!isSame) yield* differenceSegments(',
        broken: 'if (!isSame && image.pages < 0) yield* differenceSegments(',
      },
    ],
    needed: changed,
  },
};

/** The text of the file with the guard broken. Throws if the file does not have the intact text exactly once. */
export function broken(text: string, { file, intact, broken: replacement }: Edit): string {
  const pieces = text.split(intact);
  if (pieces.length !== 2) throw new Error(`${file} has this ${pieces.length - 1} times, not once: ${intact}`);
  return pieces.join(replacement);
}

/** Breaks the guard in a copy of the sources. */
export function breakGuard(copy: string, guard: Guard): void {
  for (const edit of guard.edits) {
    const path = join(copy, edit.file);
    writeFileSync(path, broken(readFileSync(path, 'utf8'), edit));
  }
}
