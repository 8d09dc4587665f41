// Brings the trackers' view of this daemon's shares in line with what it remembers, after a login or a time without contact:
// announces what they do not know, forgets what left its group meanwhile. Runs in the background; the outbox comes first.
import { setTimeout as sleep } from 'node:timers/promises';
import * as fastq from 'fastq';
import type { Logger } from 'pino';
import { isMtError, toMtError } from '../codec/errors.ts';
import type { Shares } from './share.ts';
import type { StoredSession } from './store/settings-store.ts';
import type { ShareRecord } from './store/share-store.ts';
import type { TrackerClient } from './tracker-client.ts';

/** Commands under way at once: enough for thousands of shares in seconds, little for the trackers. */
const CONCURRENCY = 16;
const RETRY_MS = 2_000;

export interface AnnouncerParts {
  readonly client: TrackerClient;
  readonly shares: Shares;
  readonly log: Logger;
}

/** Announces until everything is known or `signal` aborts. */
export async function announceShares(
  parts: AnnouncerParts,
  session: StoredSession,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const waiting = await parts.shares.unannounced();
    if (waiting.length === 0) return;
    const queue = fastq.promise((record: ShareRecord) => announce(parts, session, record, signal), CONCURRENCY);
    const done = await Promise.all(waiting.map((record) => queue.push(record)));
    if (done.every(Boolean)) return;
    await sleep(RETRY_MS * (0.5 + Math.random()), null, { signal }).catch(() => {});
  }
}

/** Forgets shares whose file left its group while nobody could tell us. */
export async function forgetRemoved({ client, shares, log }: AnnouncerParts, signal: AbortSignal): Promise<void> {
  // Those of this moment only: what is shared while a listing is on its way need not be in it.
  const announced = shares.announced();
  for (const groupId of new Set(announced.map((record) => record.groupId))) {
    try {
      const files = await client.listAll('list_files', { group_id: groupId }, { signal });
      const sizes = new Map(files.map((file) => [file.file_name, file.size]));
      const unchanged = new Set(shares.announced());
      for (const record of announced) {
        if (record.groupId !== groupId || !unchanged.has(record)) continue;
        if (sizes.get(record.fileName) !== record.sizeBytes) shares.drop(record);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (isMtError(error, 'NO_SUCH_GROUP', 'NOT_MEMBER')) shares.dropGroup(groupId);
      else log.debug({ code: toMtError(error).code, group: groupId }, 'could not compare shares with the trackers');
    }
  }
}

/** @returns whether there is nothing left to say about it. */
async function announce(
  { client, shares, log }: AnnouncerParts,
  session: StoredSession,
  record: ShareRecord,
  signal: AbortSignal,
): Promise<boolean> {
  if (signal.aborted) return true;
  const ofFile = { group_id: record.groupId, file_name: record.fileName };
  const settings = { session: session.token, signal };
  try {
    if (record.published) {
      const manifest_hash = record.manifestHash as Uint8Array<ArrayBuffer>;
      await client.command('record_share', { ...ofFile, manifest_hash }, settings);
    } else {
      const manifest = shares.manifestOf(record);
      if (manifest) await client.command('share_file', { ...ofFile, manifest }, settings);
    }
    shares.markAnnounced(record, session.token);
    return true;
  } catch (error) {
    const { code, message } = toMtError(error);
    if (code === 'ALREADY_SHARED') {
      shares.markAnnounced(record, session.token);
      return true;
    }
    if (code === 'NO_SUCH_FILE' || code === 'NO_SUCH_GROUP' || code === 'NOT_MEMBER' || code === 'FILE_EXISTS') {
      log.warn({ group: record.groupId, file: record.fileName, code }, 'a share of an earlier session has ended');
      shares.drop(record);
      return true;
    }
    if (!signal.aborted)
      log.info({ group: record.groupId, file: record.fileName, code, message }, 'share not announced');
    return signal.aborted || code === 'NOT_LOGGED_IN';
  }
}
