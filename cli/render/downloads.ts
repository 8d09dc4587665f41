// Downloads as lines: `[D] [group] file  42% 18.1 MB/s 4 peers`, the form that scripts rely on, and the reason when one stalls.
import type { DownloadRow } from '../../codec/control-api.ts';
import { harmless } from './harmless.ts';
import { formatRate, percentOf, plural } from './units.ts';

const LETTER = { downloading: 'D', complete: 'C', failed: 'E', paused: 'P' } as const;

export function downloadLine(row: DownloadRow): string {
  const title = `[${LETTER[row.state]}] [${row.group_id}] ${harmless(row.file_name)}`;
  const percent = `${percentOf(row.bytes_done, row.size)}%`;
  const reason = row.reason === null ? '' : `  ${harmless(row.reason)}`;
  switch (row.state) {
    case 'downloading':
      return `${title}  ${percent} ${formatRate(row.rate)} ${plural(row.peers, 'peer')}${reason}`;
    case 'paused':
      return `${title}  ${percent}${reason}`;
    case 'complete':
    case 'failed':
      return `${title}${reason}`;
  }
}
