import { Logger } from '@aws-lambda-powertools/logger';
import type { LogLevel } from '@aws-lambda-powertools/logger/types';

/** What the functions say: one JSON line each. */
export interface Log {
  debug(message: string, facts: Record<string, unknown>): void;
  info(message: string, facts: Record<string, unknown>): void;
  warn(message: string, facts: Record<string, unknown>): void;
  error(message: string, facts: Record<string, unknown>): void;
}

/** A logger of Powertools; with its context set, lines carry the request's id and whether the start was a cold one. */
export function functionLogger(name: string, level: string): Logger {
  return new Logger({ serviceName: `seawall-${name}`, logLevel: level.toUpperCase() as LogLevel });
}
