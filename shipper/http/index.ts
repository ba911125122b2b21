/**
 * Middleware that holds the response to a write until it is durable: in the replica, not only on this machine.
 *
 * @module seawall/http
 */
export { durableExpress, type NodeMiddleware } from './express.ts';
export { durableFastify, type FastifyLike, type FastifyReplyLike, type FastifyRequestLike } from './fastify.ts';
export { durableHono, type HonoLike } from './hono.ts';
export type { DurableResponsesOptions, DurableSource } from './wait.ts';
