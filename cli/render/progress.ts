// The progress bar of a transfer, on stderr: per cent, bar, rate, time left, peers, and the reason when it stalls.
// Draws nothing off a terminal or with NO_COLOR.
import { SingleBar } from 'cli-progress';
import { harmless } from './harmless.ts';
import { isLively } from './paint.ts';
import { formatDuration, formatRate, formatSize, percentOf, plural, timeLeftMs } from './units.ts';

/** What a bar shows. `rate` and `peers` are absent while a file is only read and hashed. */
export interface Progress {
  bytes_done: number;
  size: number;
  rate?: number;
  peers?: number;
  reason?: string | null;
}

const BAR_COLUMNS = 24;
const FULL = '█';
const EMPTY = '░';
const FRAMES_PER_SECOND = 8;

export class ProgressBar {
  readonly #bar: SingleBar | null;
  #started = false;

  /** @param quiet draws nothing, terminal or not */
  constructor(label: string, quiet: boolean) {
    const title = harmless(label);
    this.#bar =
      quiet || !isLively(process.stderr)
        ? null
        : new SingleBar({
            stream: process.stderr,
            fps: FRAMES_PER_SECOND,
            hideCursor: true,
            clearOnComplete: true,
            stopOnComplete: false,
            gracefulExit: false, // Ctrl-C is ours: it has something to say first
            format: (_options, _params, payload: Progress) => `${title}  ${progressText(payload)}`,
          });
  }

  update(progress: Progress): void {
    if (!this.#bar) return;
    if (!this.#started) {
      this.#started = true;
      this.#bar.start(Math.max(1, progress.size), 0, { ...progress });
    }
    this.#bar.update(progress.bytes_done, { ...progress });
  }

  /** Removes the bar and gives the cursor back. Safe to call again, or when nothing was drawn. */
  stop(): void {
    if (this.#started) this.#bar?.stop();
    this.#started = false;
  }
}

export function bar(done: number, size: number, columns: number): string {
  const full = size === 0 ? columns : Math.floor((done / size) * columns);
  return FULL.repeat(full) + EMPTY.repeat(columns - full);
}

/** One line without the name: `██░░  42%  18.1 MB/s  12 s left  4 peers  no seeder online`. */
export function progressText(progress: Progress): string {
  const { bytes_done: done, size, rate, peers, reason } = progress;
  const parts = [
    bar(done, size, BAR_COLUMNS),
    `${String(percentOf(done, size)).padStart(3)}%`,
    `${formatSize(done)} of ${formatSize(size)}`,
  ];
  if (rate !== undefined) {
    const leftMs = timeLeftMs(done, size, rate);
    parts.push(formatRate(rate));
    if (leftMs !== null) parts.push(`${formatDuration(leftMs)} left`);
  }
  if (peers !== undefined) parts.push(plural(peers, 'peer'));
  if (reason) parts.push(harmless(reason));
  return parts.join('  ');
}
