// `show_downloads --watch`: the downloads as a table that stays on screen, redrawn in place.
// Off a terminal or with NO_COLOR nothing is animated: it prints the plain lines again when they changed.
import { setTimeout as sleep } from 'node:timers/promises';
import type { DownloadRow } from '../../codec/control-api.ts';
import { MtError } from '../../codec/errors.ts';
import { downloadLine } from './downloads.ts';
import { isLively } from './paint.ts';
import { bar } from './progress.ts';
import { table } from './table.ts';
import { formatDuration, formatRate, percentOf, timeLeftMs } from './units.ts';

const REDRAW_MS = 500;
const PLAIN_MS = 1_000;
const BAR_COLUMNS = 16;
/** Cursor off, and no wrapping: a long line is cut by the terminal, so that one row stays one line. */
const ENTER = '\x1b[?25l\x1b[?7l';
const LEAVE = '\x1b[?7h\x1b[?25h';
const CLEAR_BELOW = '\x1b[J';

/**
 * Shows what `read` returns, again and again.
 * @throws MtError INTERRUPTED at Ctrl-C: its only end, beside an error of `read`
 */
export async function watchDownloads(read: () => Promise<readonly DownloadRow[]>, signal: AbortSignal): Promise<void> {
  const screen = process.stdout;
  if (!isLively(screen)) return watchPlain(read, signal);
  let linesDrawn = 0;
  screen.write(ENTER);
  try {
    for (;;) {
      const rows = await read();
      const lines = fit(liveTable(rows), screen.rows || 24);
      const up = linesDrawn > 0 ? `\x1b[${linesDrawn}F` : '';
      screen.write(`${up}${CLEAR_BELOW}${lines.join('\n')}\n`);
      linesDrawn = lines.length;
      await pause(REDRAW_MS, signal);
    }
  } finally {
    screen.write(LEAVE);
  }
}

async function watchPlain(read: () => Promise<readonly DownloadRow[]>, signal: AbortSignal): Promise<void> {
  let printed = '';
  for (;;) {
    const text = (await read()).map(downloadLine).join('\n');
    if (text !== printed && text !== '') process.stdout.write(`${text}\n`);
    printed = text;
    await pause(PLAIN_MS, signal);
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {
    throw new MtError('INTERRUPTED', 'The downloads go on in the daemon');
  });
}

function liveTable(rows: readonly DownloadRow[]): string[] {
  if (rows.length === 0) return ['There are no downloads.'];
  const counts = ['done', 'rate', 'left', 'peers'].map((right) => ({ right }));
  return table(['', 'group', 'file', '', ...counts, ''], rows.map(liveRow)).split('\n');
}

function liveRow(row: DownloadRow): string[] {
  const moving = row.state === 'downloading';
  const leftMs = moving ? timeLeftMs(row.bytes_done, row.size, row.rate) : null;
  return [
    row.state,
    row.group_id,
    row.file_name,
    bar(row.bytes_done, row.size, BAR_COLUMNS),
    `${percentOf(row.bytes_done, row.size)}%`,
    moving ? formatRate(row.rate) : '',
    leftMs === null ? '' : formatDuration(leftMs),
    moving ? String(row.peers) : '',
    row.reason ?? '',
  ];
}

/** As many lines as the screen has: what scrolled away could not be redrawn. */
function fit(lines: readonly string[], rows: number): string[] {
  const room = Math.max(1, rows - 1);
  return lines.length <= room ? [...lines] : [...lines.slice(0, room - 1), `… and ${lines.length - room + 1} more`];
}
