/** The databases and replicas that a fleet already has, so that no two of its shippers use the same one. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SeawallError } from '../replica/terms/errors.ts';
import { bucketOf } from '../replica/store/open.ts';
import { followLinks } from './follow-links.ts';
import type { Settings } from './options.ts';

interface Place {
  readonly settings: Settings;
  /** The database's path with all links followed. */
  readonly path: string;
  /** Device and inode, so that hard links are seen; undefined while the file does not exist. */
  readonly file: string | undefined;
  readonly replica: string | undefined;
}

export class FleetPlaces {
  readonly #taken = new Map<string, Place>();

  /** Throws `refused` if another database of the fleet uses one of these places. The message names both. */
  take(settings: Settings): void {
    const path = followLinks(settings.database);
    const place = { settings, path, file: fileOf(settings.database), replica: replicaOf(settings.replica) };
    for (const other of this.#taken.values()) compare(place, other);
    this.#taken.set(settings.database, place);
  }

  free(database: string): void {
    this.#taken.delete(database);
  }
}

function compare({ settings, path, file, replica }: Place, other: Place): void {
  const { database } = settings;
  if (path === other.path || (file !== undefined && file === fileOf(other.settings.database))) {
    throw new SeawallError(
      'refused',
      'SAME_DATABASE',
      `${database} is shipped by this fleet already${database === other.settings.database ? '' : ` as ${other.settings.database}: they are one file`}`,
      { path: database },
    );
  }
  if (
    replica !== undefined &&
    other.replica !== undefined &&
    (inside(replica, other.replica) || inside(other.replica, replica))
  ) {
    throw new SeawallError(
      'refused',
      'SAME_REPLICA',
      `${settings.replica}, for ${database}, lies in the same place as ${other.settings.replica}, the replica of ${other.settings.database}; give each database a prefix of its own, and none within another's`,
      { path: database },
    );
  }
  if (settings.stateFolder === other.settings.stateFolder) {
    throw new SeawallError(
      'refused',
      'SAME_STATE_FOLDER',
      `${database} and ${other.settings.database} cannot share the state folder ${settings.stateFolder}`,
      { path: settings.stateFolder },
    );
  }
}

function inside(a: string, b: string): boolean {
  return a === b || a.startsWith(`${b}/`);
}

function fileOf(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found && `${found.dev}:${found.ino}`;
}

/** The place alone, without options such as the region. Undefined for a store in memory, which is never shared. */
function replicaOf(url: string): string | undefined {
  const bucket = bucketOf(url);
  if (bucket !== undefined) {
    const [place = '', query] = bucket.url.split('?');
    const endpoint = new URLSearchParams(query).get('endpoint') ?? '';
    return `${endpoint} ${place}/${bucket.prefix}`.replace(/\/+$/, '');
  }
  if (/^memory:/i.test(url)) return undefined;
  return resolve(/^file:/i.test(url) ? fileURLToPath(url) : url);
}
