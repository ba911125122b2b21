/**
 * The size of blocks, and what follows from it. Segments and snapshots are written in blocks of this many raw bytes; the
 * last block of an object holds the rest.
 */

/** Raw bytes of a block, at most. A power of two, so that it holds whole pages of every size. */
export const BLOCK_SIZE = 1 << 20;

/**
 * The BD byte of the LZ4 frames that are written. Bits 4 to 6 name the largest block: n stands for 2^(8 + 2n) bytes
 * (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md, "Frame Descriptor").
 */
export const LZ4_BLOCK_DESCRIPTOR = ((Math.log2(BLOCK_SIZE) - 8) / 2) << 4;

/**
 * Whether a snapshot whose blocks hold `blockPages` pages each can be read: a block is a power of two in bytes, so that
 * {@link BLOCK_SIZE} is a multiple of it, and fits the buffers that readers hold.
 */
export function isReadableBlock(blockPages: number, pageSize: number): boolean {
  const bytes = blockPages * pageSize;
  return bytes > 0 && BLOCK_SIZE % bytes === 0;
}
