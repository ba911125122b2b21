/**
 * Small control objects (claim, head, reports): JSON that people can read, sealed by a CRC-32 so that a changed byte is an
 * error instead of another value.
 *
 *     {"seawall":"head","version":1,"body":{…},"crc32":"89abcdef"}
 *
 * The CRC covers the UTF-8 bytes of everything before `,"crc32"`. Reading is strict: the bytes must be exactly what
 * writing would produce.
 */
import { crc32 } from '../runtime/crc32.ts';
import { corrupt, SeawallError } from '../terms/errors.ts';

/** Bytes of a control object, at most; reports are shortened to fit. */
export const MAX_SEALED = 4 << 20;

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** The bytes of a control object. */
export function seal(kind: string, version: number, body: Json): Buffer {
  const open = JSON.stringify({ seawall: kind, version, body }).slice(0, -1);
  return Buffer.from(`${open},"crc32":"${hex(crc32(open))}"}`);
}

/** Opens what {@link seal} wrote. Throws `corrupt` (SEALED_…) or `unsupported` for a newer version. */
export function unseal(kind: string, version: number, bytes: Buffer, key: string): Json {
  const sealed = unsealAny(bytes, key);
  if (sealed.kind !== kind) throw corrupt('SEALED_KIND', `not a ${kind}`, { key });
  if (sealed.version !== version) {
    throw new SeawallError(
      'unsupported',
      'SEALED_VERSION',
      `${key}: this release reads version ${version} of a ${kind}`,
      { key },
    );
  }
  return sealed.body;
}

/** Opens a sealed object of any kind and version. Throws `corrupt` (SEALED_…). */
export function unsealAny(
  bytes: Buffer,
  key: string,
): { readonly kind: Json; readonly version: Json; readonly body: Json } {
  if (bytes.length > MAX_SEALED) throw corrupt('SEALED_SIZE', `${bytes.length} bytes are no control object`, { key });
  const text = bytes.toString('utf8');
  const end = text.length - ',"crc32":"00000000"}'.length;
  if (end < 0 || text.slice(end) !== `,"crc32":"${hex(crc32(text.slice(0, Math.max(end, 0))))}"}`) {
    throw corrupt('SEALED_CRC', 'the object does not match its CRC', { key });
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw corrupt('SEALED_JSON', 'the object is not JSON', { key }, error);
  }
  if (typeof parsed !== 'object' || parsed === null) throw corrupt('SEALED_JSON', 'the object has no fields', { key });
  const { seawall: kind, version, body } = parsed as Readonly<Record<string, Json>>;
  if (kind === undefined || version === undefined || body === undefined) {
    throw corrupt('SEALED_JSON', 'the object has no kind, version or body', { key });
  }
  return { kind, version, body };
}

/** The fields of a sealed body, each checked against its type. Throws `corrupt` (SEALED_BODY) for unknown or missing fields. */
export function fields<K extends string>(
  body: Json,
  key: string,
  wanted: Readonly<Record<K, 'string' | 'number' | 'boolean'>>,
): Record<K, string | number | boolean> {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw corrupt('SEALED_BODY', 'no fields', { key });
  const record = body as Readonly<Record<string, Json>>;
  for (const name of Object.keys(record)) {
    if (!(name in wanted)) throw corrupt('SEALED_BODY', `unknown field ${JSON.stringify(name)}`, { key });
  }
  for (const name of Object.keys(wanted) as K[]) {
    if (typeof record[name] !== wanted[name])
      throw corrupt('SEALED_BODY', `field ${name} must be a ${wanted[name]}`, { key });
  }
  return record as Record<K, string | number | boolean>;
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}
