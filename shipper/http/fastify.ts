/** Plugin for Fastify. */
import { DurableWait, NOT_DURABLE, type DurableResponsesOptions, type DurableSource } from './wait.ts';

/** What the plugin needs of a request. */
export interface FastifyRequestLike {
  /** Such as `POST`. */
  readonly method: string;
}
/** What the plugin needs of a reply. */
export interface FastifyReplyLike {
  /** The status so far. */
  readonly statusCode: number;
  /** Sets the status. */
  code(status: number): unknown;
  /** Sets headers. */
  headers(values: Readonly<Record<string, string>>): unknown;
  /** Removes a header. */
  removeHeader(name: string): unknown;
}
/** What the plugin needs of a Fastify instance. */
export interface FastifyLike {
  /** Adds a hook that sees each payload before it is sent. */
  addHook(
    name: 'onSend',
    hook: (request: FastifyRequestLike, reply: FastifyReplyLike, payload: unknown) => Promise<unknown>,
  ): unknown;
}

/**
 * Holds the response to a write until what was committed before it is in the replica; see `durableExpress`.
 *
 * ```ts
 * await app.register(durableFastify(shipper));
 * ```
 */
export function durableFastify(
  shipper: DurableSource,
  options?: DurableResponsesOptions,
): (instance: FastifyLike) => Promise<void> {
  const wait = new DurableWait(shipper, options);
  const plugin = (instance: FastifyLike): Promise<void> => {
    instance.addHook('onSend', async (request, reply, payload) => {
      if (!wait.concerns(request.method, reply.statusCode) || (await wait.reached())) return payload;
      for (const name of ['content-length', 'content-encoding', 'etag', 'location', 'set-cookie'])
        reply.removeHeader(name);
      reply.code(NOT_DURABLE.status);
      reply.headers(NOT_DURABLE.headers);
      return NOT_DURABLE.body;
    });
    return Promise.resolve();
  };
  // Fastify's sign for a plugin whose hooks hold for the instance that registers it, and not only below it.
  return Object.assign(plugin, { [Symbol.for('skip-override')]: true });
}
