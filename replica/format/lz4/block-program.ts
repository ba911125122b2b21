/**
 * Instances of the small WebAssembly program block-program.wat, each with a memory of its own.
 *
 * The library's decoder takes a copy before and gives fresh memory behind, and hashing takes another copy of each page.
 * This program is one kilobyte and does both in one memory: 256 MiB of the benchmark's blocks are unpacked and hashed in
 * 47 ms of a processor instead of 106. The tests assemble the text and compare, and hold the program against the
 * description of the format, byte for byte, on whole and on damaged blocks.
 */
import { CODE } from './block-program-code.ts';

export interface BlockProgram {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  readonly unpack: (at: number, end: number, to: number, most: number) => number;
  readonly hash: (at: number, pageSize: number, count: number, firstPage: bigint, to: number) => void;
  readonly stripes: (at: number, end: number, sums: number) => void;
}

/** The parts of WebAssembly that are used: its types come only with TypeScript's browser library. */
const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly Module: new (code: Uint8Array) => object;
    readonly Instance: new (module: object) => { readonly exports: unknown };
  };
};

const compiled = new WebAssembly.Module(Buffer.from(CODE, 'base64'));

/** A new instance with memory of its own. Synchronous, because the program has about a kilobyte. */
export function newBlockProgram(): BlockProgram {
  return new WebAssembly.Instance(compiled).exports as BlockProgram;
}
