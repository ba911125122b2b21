import { Logger } from '@aws-lambda-powertools/logger';
import type { LogLevel } from '@aws-lambda-powertools/logger/types';

/** The log of a function: one JSON line for each call. */
export interface Log {
  debug(message: string, facts: Record<string, unknown>): void;
  info(message: string, facts: Record<string, unknown>): void;
  warn(message: string, facts: Record<string, unknown>): void;
  error(message: string, facts: Record<string, unknown>): void;
}

/**
 * A Powertools logger. Once it has the invocation's context, lines carry the request's id and whether it was a cold
 * start.
 */
export function functionLogger(name: string, level: string): Logger {
  return new Logger({ serviceName: `seawall-${name}`, logLevel: level.toUpperCase() as LogLevel });
}
