// What the handlers of the control API work with, and the small things they share.
import type { Address } from '../../codec/ids.ts';
import type { DataPlane, FileRef } from '../download/types.ts';
import type { Outbox } from '../outbox.ts';
import type { Session } from '../session.ts';
import type { Shares } from '../share.ts';
import type { ShareKeeper } from '../shares/keeper.ts';
import type { SettingsStore } from '../store/settings-store.ts';
import type { TrackerClient } from '../tracker-client.ts';
import type { Uploads } from '../upload.ts';
import type { Watches } from '../watch/watches.ts';

export interface ControlContext {
  readonly client: TrackerClient;
  readonly session: Session;
  readonly shares: Shares;
  readonly keeper: ShareKeeper;
  readonly uploads: Uploads;
  readonly watches: Watches;
  readonly outbox: Outbox;
  readonly dataPlane: DataPlane;
  readonly settings: SettingsStore;
  readonly about: {
    readonly version: string;
    readonly dataDir: string;
    readonly socket: string;
    readonly address: Address;
    readonly startedAtMs: number;
  };
}

/** The caller's own patience with the trackers, when it named one; it stops with the caller. */
export function waitOf(params: { timeout_ms?: number | undefined }, signal?: AbortSignal) {
  return {
    ...(params.timeout_ms === undefined ? {} : { timeoutMs: params.timeout_ms }),
    ...(signal ? { signal } : {}),
  };
}

export function fileOf(params: { group_id: string; file_name: string }): FileRef {
  return { groupId: params.group_id, fileName: params.file_name };
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
