/** Raw bytes of a block we write, at most. */
export const BLOCK_SIZE = 1 << 20;
