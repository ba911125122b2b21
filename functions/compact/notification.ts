/** Reads S3's notifications from queue messages. */
import { parseKey } from '../../replica/terms/layout.ts';
import { isRecord, parseJson } from '../sqs-event.ts';

export interface Notified {
  /** Databases in which an index began, without repetitions. */
  readonly databases: readonly string[];
  /** Why other records were passed over. */
  readonly ignored: readonly { readonly key: string; readonly why: string }[];
}

const FIRST_SEGMENT = /^(?:(.+)\/)?(generations\/[0-9a-f]{16}\/wal\/[^/]+)$/;

/**
 * Reads one message. Returns undefined if it is not a notification of S3: it then ends in the dead-letter queue, and
 * somebody looks at it.
 *
 * @param root the prefix of all databases' keys: empty, or ending with a slash
 */
export function readNotification(body: string, bucket: string, root: string): Notified | undefined {
  const value = parseJson(body);
  if (!isRecord(value)) return undefined;
  // S3 sends it once, when notifications are set up.
  if (value['Event'] === 's3:TestEvent') return { databases: [], ignored: [] };
  if (!Array.isArray(value['Records'])) return undefined;
  const databases = new Set<string>();
  const ignored: { key: string; why: string }[] = [];
  for (const record of value['Records'] as readonly unknown[]) {
    const found = fieldsOf(record);
    if (found === undefined) return undefined;
    const { key, event } = found;
    const database = databaseOf(key, root);
    if (found.bucket !== bucket) ignored.push({ key, why: `of another bucket, ${found.bucket}` });
    else if (!event.startsWith('ObjectCreated:')) ignored.push({ key, why: event });
    else if (database === undefined) ignored.push({ key, why: 'not the first segment of an index' });
    else databases.add(database);
  }
  return { databases: [...databases], ignored };
}

function fieldsOf(
  record: unknown,
): { readonly event: string; readonly bucket: string; readonly key: string } | undefined {
  if (!isRecord(record) || typeof record['eventName'] !== 'string' || !isRecord(record['s3'])) return undefined;
  const { bucket, object } = record['s3'];
  if (!isRecord(bucket) || typeof bucket['name'] !== 'string') return undefined;
  if (!isRecord(object) || typeof object['key'] !== 'string') return undefined;
  const key = decoded(object['key']);
  return key === undefined ? undefined : { event: record['eventName'], bucket: bucket['name'], key };
}

/** Keys are URL-encoded as in a form: a space is a +. */
function decoded(key: string): string | undefined {
  try {
    return decodeURIComponent(key.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}

/** The database whose index begins with this object; '' for one at the root itself. */
function databaseOf(key: string, root: string): string | undefined {
  if (!key.startsWith(root)) return undefined;
  const [, database = '', below = ''] = FIRST_SEGMENT.exec(key.slice(root.length)) ?? [];
  const name = parseKey(below);
  return name?.kind === 'segment' && name.offset === 0 ? database : undefined;
}
