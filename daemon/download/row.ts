// A download as listings show it. Computes only.
import type { DownloadRow } from '../../codec/control-api.ts';
import type { DownloadRecord } from '../store/download-store.ts';
import type { Reason } from './reasons.ts';

/** What can be seen of a download beside its record: bytes on the disk, bytes a second, peers that content comes from. */
export interface Seen {
  readonly bytesVerified: number;
  readonly rate: number;
  readonly peers: number;
  /** Why nothing moves; null: it does, or need not. */
  readonly reason: Reason | null;
}

export function downloadRow(record: DownloadRecord, seen: Seen): DownloadRow {
  const { groupId, fileName, destination, phase, sizeBytes } = record;
  const isRunning = phase === 'downloading' || phase === 'finishing';
  return {
    group_id: groupId,
    file_name: fileName,
    state: phase === 'finishing' ? 'downloading' : phase,
    bytes_done: phase === 'complete' ? sizeBytes : seen.bytesVerified,
    size: sizeBytes,
    rate: isRunning ? seen.rate : 0,
    peers: isRunning ? seen.peers : 0,
    destination,
    reason: seen.reason?.text ?? null,
    reason_code: seen.reason?.code ?? null,
  };
}
