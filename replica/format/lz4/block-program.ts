/** Instances of the small WebAssembly program block-program.wat, each with a memory of its own. */
import { CODE } from './block-program-code.ts';

export interface BlockProgram {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  readonly unpack: (at: number, end: number, to: number, most: number) => number;
  readonly hash: (at: number, pageSize: number, count: number, firstPage: bigint, to: number) => void;
  readonly stripes: (at: number, end: number, sums: number) => void;
}

/** The types of WebAssembly come only with those of browsers. */
const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly Module: new (code: Uint8Array) => object;
    readonly Instance: new (module: object) => { readonly exports: unknown };
  };
};

const compiled = new WebAssembly.Module(Buffer.from(CODE, 'base64'));

/** Synchronous: the program has about a kilobyte. */
export function newBlockProgram(): BlockProgram {
  return new WebAssembly.Instance(compiled).exports as BlockProgram;
}
