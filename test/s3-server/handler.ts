import type { BodyStore, StoredBody } from './body-store.ts';
import type { Catalog } from './catalog.ts';
import type { S3Request, S3Response } from './request.ts';

/** The state that the operations work on. */
export interface ServerState {
  readonly catalog: Catalog;
  readonly bodies: BodyStore;
}

/** Carries one operation out. Throws S3Error to refuse it. */
export type Handler = (state: ServerState, request: S3Request) => S3Response | Promise<S3Response>;

/** Runs `commit`, and removes `body` again if it is refused. */
export function committing<T>({ bodies }: ServerState, body: StoredBody, commit: () => T): T {
  try {
    return commit();
  } catch (error) {
    bodies.remove(body);
    throw error;
  }
}
