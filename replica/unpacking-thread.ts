/** Unpacks blocks off the main thread. A block that fails is left to the main thread, whose error says more. */
import { parentPort } from 'node:worker_threads';
import { free, unpackBlock, type PackedBlock } from './block-unpacking.ts';

const port = parentPort!;

port.on('message', ({ id, packed }: { readonly id: number; readonly packed: PackedBlock }) => {
  try {
    const { raw, hashes } = unpackBlock(packed);
    // What is a part of something else, such as a pool's memory, cannot be given away.
    const own = raw.byteLength === raw.buffer.byteLength ? raw : new Uint8Array(raw);
    free(packed.stored);
    port.postMessage({ id, unpacked: { raw: own, hashes } }, [own.buffer as ArrayBuffer, hashes.buffer as ArrayBuffer]);
  } catch {
    port.postMessage({ id, unpacked: undefined });
  }
});
