/** Restores by the Lambda function: it does the work in the cloud; the file is downloaded and proven here. */
import { resolve } from 'node:path';
import { corrupt } from '../../replica/terms/errors.ts';
import { ByteSource } from '../../replica/format/byte-source.ts';
import { formatChecksum, PageHashes } from '../../replica/format/page-hashes.ts';
import { checkTarget, makeTarget } from '../../replica/restore/restore-target.ts';
import { assertKey } from '../../replica/store/keys.ts';
import type { PageFile } from '../../replica/image/to-file/target-file.ts';
import type { Report } from '../command.ts';
import type { CommandLine } from '../command-line.ts';
import { interpret, UsageError } from '../exit-codes.ts';
import { EndRequest } from '../interruption.ts';
import type { FunctionAnswer } from './answer.ts';
import { download, type LinkedFile } from './download.ts';
import { functionName } from './function-name.ts';
import { invokeRestore } from './invoke.ts';
import type { OnProgress, Terminal } from '../terminal/terminal.ts';
import { restoredReport } from '../report/restored.ts';

/** Bytes hashed and written at a time; a multiple of every page size. */
const PIECE = 1 << 20;

export interface FunctionRestore {
  /** A point that was checked before. */
  readonly at: string;
  readonly path: string;
  readonly force: boolean;
}

export async function restoreByFunction(
  line: CommandLine,
  terminal: Terminal,
  { at, path, force }: FunctionRestore,
): Promise<Report> {
  if (line.optionalOperand(0) !== undefined) {
    throw new UsageError('give a replica, or a function with --lambda, but not both');
  }
  const called = functionName(line.required('lambda', 'function'), line.text('region'));
  const database = line.required('database', 'name');
  await interpret(() => {
    assertKey(database);
  });
  const target = resolve(path);
  await checkTarget(target, force);
  const began = performance.now();
  let invoking = true;
  using end = new EndRequest(() => {
    if (invoking) terminal.note('the function goes on; what it writes to restores/ expires by the bucket’s rules');
  });
  const answer = await terminal.whileWaiting('restore function at work', () =>
    invokeRestore(called, { database, at }, end.signal),
  );
  invoking = false;
  const file = { url: answer.url, bytes: answer.bytes, place: `s3://${answer.bucket}/${answer.key}` };
  const onProgress = terminal.progress('download', 'bytes');
  await makeTarget(target, { force, needs: answer.bytes }, (out) => fill(out, file, answer, onProgress, end.signal));
  const { position, time, pages, pageSize, bytes, checksum, proof, warnings } = answer;
  return restoredReport(
    {
      path: target,
      target: at,
      position,
      time: Date.parse(time),
      pages,
      pageSize,
      bytes,
      checksum,
      proof,
      frames: undefined,
      seconds: (performance.now() - began) / 1000,
      warnings,
    },
    { function: called.name, database, object: file.place },
  );
}

/** Writes the file as it arrives. Throws `corrupt` unless its pages add up to the checksum of the function. */
async function fill(
  out: PageFile,
  file: LinkedFile,
  { pageSize, pages, bytes, checksum }: FunctionAnswer,
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<void> {
  const source = new ByteSource(download(file, signal));
  const hashes = new PageHashes(pageSize, pages);
  try {
    for (let done = 0; done < bytes;) {
      const piece = await source.take(Math.min(PIECE, bytes - done));
      for (let within = 0; within < piece.length; within += pageSize) {
        hashes.set((done + within) / pageSize + 1, piece.subarray(within, within + pageSize));
      }
      await out.write(piece, done);
      done += piece.length;
      onProgress(done, bytes);
    }
  } finally {
    await source.close();
  }
  hashes.commit(pages);
  const actual = formatChecksum(hashes.checksum);
  if (actual === checksum) return;
  const message = `${file.place}: the download is not what the function restored. Run this command again.`;
  throw corrupt('DOWNLOAD_CHECKSUM', message, { expected: checksum, actual });
}
