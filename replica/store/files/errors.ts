import { SeawallError, type ErrorKind } from '../../terms/errors.ts';

const MEANINGS: Readonly<Record<string, readonly [ErrorKind, string, string]>> = {
  ENOSPC: ['local', 'FILES_NO_SPACE', 'the disk is full'],
  EDQUOT: ['local', 'FILES_NO_SPACE', 'the disk quota is used up'],
  EFBIG: ['local', 'FILES_TOO_LARGE', 'the file system holds no file that large'],
  EROFS: ['local', 'FILES_READ_ONLY', 'the file system is read-only'],
  EIO: ['local', 'FILES_IO', 'the disk failed to read or write'],
  EMFILE: ['local', 'FILES_TOO_MANY_OPEN', 'this process has too many files open'],
  ENFILE: ['local', 'FILES_TOO_MANY_OPEN', 'this machine has too many files open'],
  EACCES: ['denied', 'FILES_DENIED', 'permission denied: give this user access to it'],
  EPERM: ['denied', 'FILES_DENIED', 'the operation is not permitted'],
  ENAMETOOLONG: ['unsupported', 'FILES_NAME_TOO_LONG', 'the name is too long for the file system'],
  ENOTDIR: ['unsupported', 'FILES_KEY_CLASH', 'a component of the key is an object, and a file cannot hold others'],
  EISDIR: ['unsupported', 'FILES_KEY_CLASH', 'the key is a folder of other objects, and cannot be one itself'],
};

/** What a failed file operation means. Errors that are ours already, and misuse, pass unchanged. */
export function filesError(error: unknown, path: string, key?: string): unknown {
  if (!(error instanceof Error) || error instanceof SeawallError) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined || code.startsWith('ERR_')) return error;
  const [kind, name, meaning] = MEANINGS[code] ?? ['local', 'FILES_FAILED', error.message];
  const facts = key === undefined ? { path } : { path, key };
  return new SeawallError(kind, name, `${path}: ${meaning} (${code})`, facts, error);
}

export function isErrno(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException | null)?.code ?? '');
}
