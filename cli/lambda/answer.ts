/** The restore function's answer, as far as the command line needs it. Every field is checked. */
import { SeawallError } from '../../replica/terms/errors.ts';
import type { RestoredFacts } from '../../replica/restore/restored-facts.ts';
import { isPageSize } from '../../replica/wal/format.ts';

export interface FunctionAnswer extends RestoredFacts {
  readonly bucket: string;
  readonly key: string;
  /** Where the file can be fetched for a while. */
  readonly url: string;
}

/** Throws `unsupported` (FUNCTION_ANSWER), naming the field, unless the answer is a complete one of a restore. */
export function parseAnswer(text: string, name: string): FunctionAnswer {
  const answer = fieldsOf(text, name);
  const wrong = (field: string): SeawallError =>
    new SeawallError(
      'unsupported',
      'FUNCTION_ANSWER',
      `${name} answered without a valid "${field}", so it is not a restore function of this release: ` +
        'give the stack’s RestoreFunctionName, and use the same release for the stack and for this command',
    );
  const worded = (field: string, pattern: RegExp): string => {
    const value = answer[field];
    if (typeof value !== 'string' || !pattern.test(value)) throw wrong(field);
    return value;
  };
  const whole = (field: string): number => {
    const value = answer[field];
    if (!Number.isSafeInteger(value) || (value as number) < 1) throw wrong(field);
    return value as number;
  };
  const { warnings } = answer;
  if (!Array.isArray(warnings) || !warnings.every((each) => typeof each === 'string')) throw wrong('warnings');
  const pageSize = whole('pageSize');
  const pages = whole('pages');
  const bytes = whole('bytes');
  if (!isPageSize(pageSize)) throw wrong('pageSize');
  if (pages * pageSize !== bytes) throw wrong('bytes');
  const time = worded('time', /./);
  if (Number.isNaN(Date.parse(time))) throw wrong('time');
  return {
    position: worded('position', /./),
    time,
    pages,
    pageSize,
    bytes,
    checksum: worded('checksum', /^[0-9a-f]{16}$/),
    proof: worded('proof', /^(recorded|frames|files)$/) as FunctionAnswer['proof'],
    bucket: worded('bucket', /./),
    key: worded('key', /./),
    url: worded('url', /^https?:\/\/./),
    warnings,
  };
}

function fieldsOf(text: string, name: string): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) return parsed as Readonly<Record<string, unknown>>;
  } catch {
    // Reported below, like everything else that is not an answer.
  }
  throw new SeawallError(
    'unsupported',
    'FUNCTION_ANSWER',
    `${name} answered ${text.slice(0, 200)}, which is not the answer of a restore`,
  );
}
