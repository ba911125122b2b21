/** Middleware for Hono, and any framework whose context has a Request and a Response. */
import { DurableWait, NOT_DURABLE, type DurableResponsesOptions, type DurableSource } from './wait.ts';

/** What the middleware needs of a context. */
export interface HonoLike {
  /** The request. */
  readonly req: {
    /** Such as `POST`. */
    readonly method: string;
  };
  /** The response. Set to undefined first: otherwise Hono merges the headers of the old response into the new one. */
  res: Response | undefined;
}

/**
 * Holds the response to a write until what was committed before it is in the replica; see `durableExpress`.
 *
 * ```ts
 * app.use(durableHono(shipper));
 * ```
 */
export function durableHono(
  shipper: DurableSource,
  options?: DurableResponsesOptions,
): (context: HonoLike, next: () => Promise<void>) => Promise<void> {
  const wait = new DurableWait(shipper, options);
  return async (context, next) => {
    await next();
    if (context.res === undefined || !wait.concerns(context.req.method, context.res.status)) return;
    if (await wait.reached()) return;
    context.res = undefined;
    context.res = new Response(NOT_DURABLE.body, { status: NOT_DURABLE.status, headers: { ...NOT_DURABLE.headers } });
  };
}
