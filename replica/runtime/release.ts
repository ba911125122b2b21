/**
 * Gives a buffer's memory back now, not when the garbage is collected next: megabytes outside of the heap hardly move the
 * collector, and memory that is used again at once costs no page faults. Nothing may use the buffer, or another view of
 * its memory, from now on.
 */
export function release(bytes: Buffer): void {
  const { buffer, byteLength } = bytes;
  // Small buffers are parts of a pool.
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
