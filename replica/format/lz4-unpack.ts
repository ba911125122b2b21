/**
 * The decoder of lz4-wasm, called without its JavaScript: that copies a block before and gives it fresh memory behind,
 * and both cost more than decoding.
 */
import lz4 from 'lz4-wasm-nodejs';

/** What wasm-bindgen exports for Node.js. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly __wbindgen_malloc: (length: number) => number;
  readonly __wbindgen_free: (at: number, length: number) => void;
  readonly __wbindgen_add_to_stack_pointer: (by: number) => number;
  /** Frees what it is given. At `answer` it puts where the result lies, its length, an error, and whether it is one. */
  readonly decompress: (answer: number, at: number, length: number) => void;
}

const wasm = (lz4 as unknown as { readonly __wasm: Exports }).__wasm;
let memory = Buffer.alloc(0);
/** Whether it can be called so: another build of it may want to be called otherwise. */
const direct = decodesDirectly();

/** Its memory, which moves when it grows. */
function memoryNow(): Buffer {
  if (memory.buffer !== wasm.memory.buffer) memory = Buffer.from(wasm.memory.buffer);
  return memory;
}

/**
 * Decodes a block that yields at most `rawLength` bytes, to the start of `into` or to memory of its own. Throws what the
 * decoder says of a block that it cannot decode.
 */
export function unpackLz4(data: Uint8Array, rawLength: number, into?: Buffer): Buffer {
  if (direct) return unpackDirectly(data, rawLength, into);
  const raw = lz4.decompress(packedOf(data, rawLength));
  const found = into === undefined ? Buffer.allocUnsafeSlow(raw.length) : into.subarray(0, raw.length);
  found.set(raw);
  return found;
}

function decodesDirectly(): boolean {
  try {
    return (
      unpackDirectly(Buffer.from('\x1fa\x01\x00\x04\x50bcdef', 'latin1'), 29).toString() === `${'a'.repeat(24)}bcdef`
    );
  } catch {
    return false;
  }
}

function unpackDirectly(data: Uint8Array, rawLength: number, into?: Buffer): Buffer {
  const length = 4 + data.length;
  const at = wasm.__wbindgen_malloc(length);
  const given = memoryNow();
  given.writeUInt32LE(rawLength, at);
  given.set(data, at + 4);
  const answer = wasm.__wbindgen_add_to_stack_pointer(-16);
  try {
    wasm.decompress(answer, at, length);
    const taken = memoryNow();
    if (taken.readUInt32LE(answer + 12) !== 0) return lz4.decompress(packedOf(data, rawLength)) as Buffer; // throws
    const from = taken.readUInt32LE(answer);
    const found = taken.readUInt32LE(answer + 4);
    const raw = into === undefined ? Buffer.allocUnsafeSlow(found) : into.subarray(0, found);
    taken.copy(raw, 0, from, from + found);
    wasm.__wbindgen_free(from, found);
    return raw;
  } finally {
    wasm.__wbindgen_add_to_stack_pointer(16);
  }
}

/** As its JavaScript takes it, which can tell what is wrong. */
function packedOf(data: Uint8Array, rawLength: number): Buffer {
  const packed = Buffer.allocUnsafe(4 + data.length);
  packed.writeUInt32LE(rawLength, 0);
  packed.set(data, 4);
  return packed;
}
