// Numbers as people read them: sizes, rates, durations, percentages; and sizes as people type them.
// Steps are powers of two both ways, so that what `mt limits --up 20M` sets is shown as 20.0 MB/s.
import { MtError } from '../../codec/errors.ts';
import { printable } from '../../codec/ids.ts';
import { readSize } from '../../codec/typed-size.ts';

const STEP = 1024;
const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'] as const;
/** Longest --timeout, in seconds: a day. Longer is a mistake, and node's timers end at 24.8 days. */
const TIMEOUT_SECONDS_MAX = 86_400;

export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // 1023.95 would be shown as 1024.0: such a value belongs to the next unit.
  while (value >= STEP - 0.05 && unit < UNITS.length - 1) {
    value /= STEP;
    unit++;
  }
  return unit === 0 ? `${Math.round(value)} B` : `${value.toFixed(1)} ${UNITS[unit]}`;
}

export function formatRate(bytesPerSecond: number): string {
  return `${formatSize(bytesPerSecond)}/s`;
}

/** A limit of this daemon: 0 means none. */
export function formatLimit(bytesPerSecond: number): string {
  return bytesPerSecond === 0 ? 'no limit' : formatRate(bytesPerSecond);
}

/** `42 s`, `3 min 05 s`, `2 h 10 min`, `3 d 4 h`. */
export function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, '0')} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, '0')} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Whole per cent, rounded down: 100 only when all of it is there. An empty file is whole. */
export function percentOf(done: number, size: number): number {
  return size === 0 ? 100 : Math.floor((done / size) * 100);
}

/** Time left at this rate, or null when nothing moves. */
export function timeLeftMs(done: number, size: number, bytesPerSecond: number): number | null {
  return bytesPerSecond > 0 ? ((size - done) / bytesPerSecond) * 1000 : null;
}

/** Local time to the second, such as `2026-07-01 09:30:12`. */
export function formatTime(unixMs: number): string {
  const date = new Date(unixMs);
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

export function plural(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? '' : 's'}`;
}

/**
 * Bytes from `64K`, `20M`, `1.5G` (powers of two) or plain bytes.
 * @throws MtError INVALID_ARGUMENT
 */
export function parseSize(text: string): number {
  const bytes = readSize(text);
  if (bytes !== null) return bytes;
  throw new MtError(
    'INVALID_ARGUMENT',
    `"${printable(text)}" is not a size`,
    'Write plain bytes or a number with K, M or G (powers of two), such as 64K or 20M.',
  );
}

/**
 * Milliseconds from seconds as typed after --timeout.
 * @throws MtError USAGE
 */
export function parseTimeout(text: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (seconds > 0 && seconds <= TIMEOUT_SECONDS_MAX) return Math.max(1, Math.round(seconds * 1000));
  throw new MtError('USAGE', `--timeout takes seconds, more than 0 and at most ${TIMEOUT_SECONDS_MAX}`);
}
