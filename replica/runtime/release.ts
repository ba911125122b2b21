/**
 * Frees a buffer's memory now, instead of at the next garbage collection: memory outside the heap hardly triggers the
 * collector, and memory that is reused at once costs no page faults. Nothing may use the buffer, or another view of its
 * memory, afterwards.
 */
export function release(bytes: Buffer): void {
  const { buffer, byteLength } = bytes;
  // Small buffers are parts of a pool.
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
