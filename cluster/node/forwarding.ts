// Commands on their way from a follower to the leader: cut into frames there, read and checked here.
import { hash } from 'node:crypto';
import type { ForwardedProposal } from '../../codec/tracker-link.ts';
import { decodeCommand } from '../state/commands.ts';
import { attach } from '../store/attachments.ts';
import type { Outgoing } from './pending-commands.ts';
import { FORWARD_BYTES_MAX } from './settings.ts';

/** Frames for commands that leave together, none larger than its limit. */
export function* inFrames(outgoing: readonly Outgoing[]): Generator<ForwardedProposal[]> {
  let batch: ForwardedProposal[] = [];
  let size = 0;
  for (const { ref, data, attachment } of outgoing) {
    const manifest = attachment?.bytes ?? null;
    const own = data.length + (manifest?.length ?? 0) + 32;
    if (size + own > FORWARD_BYTES_MAX && batch.length > 0) {
      yield batch;
      batch = [];
      size = 0;
    }
    batch.push([ref, data, manifest]);
    size += own;
  }
  if (batch.length > 0) yield batch;
}

/** Links a received command to its manifest. @returns false when it cannot be read: it must not enter the log. */
export function receive(data: Uint8Array, manifest: Uint8Array | null): boolean {
  if (manifest) attach(data, { hash: hash('sha256', manifest, 'buffer'), bytes: manifest });
  try {
    decodeCommand(data);
    return true;
  } catch {
    return false;
  }
}
