/** Asks a running `seawall ship` over its control socket. */
import { request } from 'node:http';
import { SeawallError } from '../../replica/terms/errors.ts';
import type { JsonDocument } from '../json.ts';

export interface ControlAnswer {
  readonly status: number;
  readonly body: JsonDocument;
}

/**
 * Sends one request and waits for its answer, for as long as it takes. Throws `missing` (NOT_SHIPPING) if nobody listens,
 * and `local` (CONTROL_ENDED) if the answer does not come.
 */
export function askControl(socket: string, method: 'GET' | 'POST', path: string): Promise<ControlAnswer> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath: socket, method, path }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('error', fail);
      response.on('end', () => {
        try {
          resolve({
            status: response.statusCode ?? 0,
            body: JSON.parse(Buffer.concat(pieces).toString()) as JsonDocument,
          });
        } catch (error) {
          fail(error as Error);
        }
      });
    });
    const fail = (error: NodeJS.ErrnoException): void => {
      const nobody = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
      const [kind, code] = nobody ? (['missing', 'NOT_SHIPPING'] as const) : (['local', 'CONTROL_ENDED'] as const);
      const message = nobody
        ? `no "seawall ship" of this database runs here: nobody listens on ${socket}`
        : `the answer of ${socket} did not come: ${error.message}`;
      reject(new SeawallError(kind, code, message, { path: socket }, error));
    };
    sent.on('error', fail);
    sent.end();
  });
}
