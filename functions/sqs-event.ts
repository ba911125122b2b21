/** Reads what functions are invoked with: messages of a queue, or a scheduler's word. */
import type { SQSRecord } from 'aws-lambda';
import { badInput } from './failure.ts';

/** The messages of a queue's event. Undefined if the event is not from a queue. */
export function queueMessages(event: unknown): readonly SQSRecord[] | undefined {
  if (!isRecord(event) || !Array.isArray(event['Records'])) return undefined;
  return event['Records'] as readonly SQSRecord[];
}

/** Whether the event is the scheduler's with this word, such as `{"seawall":"sweep"}`. */
export function isScheduled(event: unknown, word: string): boolean {
  return isRecord(event) && event['seawall'] === word;
}

export function unknownEvent(wanted: string): Error {
  return badInput('EVENT', `this function is invoked by its queue, or with ${wanted}`);
}

/** What a message between our functions asks for. */
export type Task =
  { readonly kind: 'database'; readonly database: string } | { readonly kind: 'sweep'; readonly after: string };

/** Reads `{"database":…}` or `{"sweep":{"after":…}}`; undefined for anything else. */
export function parseTask(body: string): Task | undefined {
  const value = parseJson(body);
  if (!isRecord(value) || Object.keys(value).length !== 1) return undefined;
  if (typeof value['database'] === 'string') return { kind: 'database', database: value['database'] };
  const { sweep } = value;
  if (isRecord(sweep) && typeof sweep['after'] === 'string') return { kind: 'sweep', after: sweep['after'] };
  return undefined;
}

/** The parsed value; undefined if the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
