/** Errors that cross between processes: they keep kind, code and facts, and lose the stack. */
import { SeawallError } from '../replica/terms/errors.ts';
import type { PlainError } from './protocol.ts';

export function toPlain(error: unknown): PlainError {
  if (error instanceof SeawallError) {
    return { kind: error.kind, code: error.code, message: error.message, facts: error.facts };
  }
  if (error instanceof TypeError || error instanceof RangeError) {
    return { kind: 'usage', code: 'USAGE', message: error.message };
  }
  const code = (error as { code?: unknown } | undefined)?.code;
  const message = error instanceof Error ? error.message : String(error);
  return { kind: 'unknown', code: typeof code === 'string' ? code : 'UNKNOWN', message };
}

export function fromPlain(plain: PlainError): Error {
  if (plain.kind === 'usage') return new RangeError(plain.message);
  return new SeawallError(plain.kind === 'unknown' ? 'local' : plain.kind, plain.code, plain.message, plain.facts);
}
