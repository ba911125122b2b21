/** Which databases and replicas a fleet has already, so that no two of its shippers meet at one. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SeawallError } from '../replica/terms/errors.ts';
import { bucketOf } from '../replica/store/open.ts';
import { followLinks } from './follow-links.ts';
import type { Settings } from './options.ts';

interface Place {
  readonly settings: Settings;
  /** Where the database really lies. */
  readonly path: string;
  /** Device and inode, so that hard links are seen; undefined while the file does not exist. */
  readonly file: string | undefined;
  readonly replica: string | undefined;
}

export class FleetPlaces {
  readonly #taken = new Map<string, Place>();

  /** Throws `refused` and names both when another database of the fleet is in the way. */
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

/** The place alone, without what only says how to get there; undefined for a store in memory, which nobody shares. */
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
