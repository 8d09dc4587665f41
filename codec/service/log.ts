// The log of a daemon: one JSON document a line on stderr, written before the call returns, so that a crash loses none.
import { type Logger, pino } from 'pino';
import { MtError } from '../errors.ts';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** @throws MtError USAGE */
export function parseLogLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((known) => known === text);
  if (level) return level;
  throw new MtError('USAGE', `--log-level is one of ${LOG_LEVELS.join(', ')}`);
}

/** @param base fields of every line. */
export function createLog(level: LogLevel, base: Readonly<Record<string, unknown>>): Logger {
  return pino({ level, base }, pino.destination({ dest: process.stderr.fd, sync: true }));
}
