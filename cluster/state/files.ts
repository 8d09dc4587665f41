// Files of a group and who has them. A file is listed while at least one daemon has it whole, whether that daemon is online or not;
// a daemon that is still downloading is a sharer in part. Content never comes here, only what the manifest says.
import { MtError } from '../../codec/errors.ts';
import { fromHex, toHex } from './bytes.ts';
import { requireFile, requireGroup, requireMember } from './guards.ts';
import { type Content, type Daemon, File, type Group, Share } from './records.ts';
import type { Transaction } from './transaction.ts';
import type { Payloads, ResultOf } from './types.ts';

export function shareFile(tx: Transaction, payload: Payloads['share_file']): ResultOf<'share_file'> {
  const { daemon, group } = memberOf(tx, payload.group_id);
  const manifestHash = toHex(payload.manifest_hash);
  const listed = group.files.get(payload.file_name);
  if (listed === undefined) {
    requireRoom(tx, daemon);
    const { size, piece_size: pieceSize, piece_count: pieceCount } = payload;
    const content: Content = { size, sha1: toHex(payload.sha1), pieceSize, pieceCount, manifestHash };
    const file = new File(group, payload.file_name, content, daemon.user, tx.now);
    tx.state.addFile(file);
    tx.emit({
      type: 'file_added',
      ...placeOf(file),
      user_id: daemon.user.id,
      size,
      manifest_hash: payload.manifest_hash,
    });
    startShare(tx, file, daemon, true);
    return { new_file: true };
  }
  if (listed.content.manifestHash !== manifestHash) {
    throw new MtError(
      'FILE_EXISTS',
      `"${group.id}" has another file "${listed.name}", published by ${listed.publisher.id}`,
      `Share it under another name, or have the old one taken out: mt remove_file ${group.id} ${shellWord(listed.name)}`,
    );
  }
  if (listed.sharers.get(daemon)?.complete) {
    throw new MtError(
      'ALREADY_SHARED',
      `This daemon shares "${listed.name}" in "${group.id}" already`,
      'See: mt show_shares',
    );
  }
  becomeSharer(tx, listed, daemon, true);
  return { new_file: false };
}

/** Again, or when this daemon has the whole file (a second copy elsewhere): nothing changes. */
export function beginDownload(tx: Transaction, payload: Payloads['begin_download']): ResultOf<'begin_download'> {
  const { daemon, file } = contentOf(tx, payload);
  if (!file.sharers.has(daemon)) becomeSharer(tx, file, daemon, false);
  return {};
}

/** Again: nothing changes, so that a daemon may repeat it after a crash. */
export function recordShare(tx: Transaction, payload: Payloads['record_share']): ResultOf<'record_share'> {
  const { daemon, file } = contentOf(tx, payload);
  if (!file.sharers.get(daemon)?.complete) becomeSharer(tx, file, daemon, true);
  return {};
}

export function stopShare(tx: Transaction, { group_id, file_name }: Payloads['stop_share']): ResultOf<'stop_share'> {
  const { daemon, group } = memberOf(tx, group_id);
  const file = requireFile(group, file_name);
  const share = file.sharers.get(daemon);
  if (share === undefined) {
    throw new MtError(
      'NO_SUCH_SHARE',
      `This daemon does not share "${file.name}" in "${group.id}"`,
      'See: mt show_shares',
    );
  }
  tx.emit({ type: 'share_stopped', ...placeOf(file), user_id: daemon.user.id, fingerprint: daemon.fingerprint });
  endShare(tx, share);
  return {};
}

export function removeFile(tx: Transaction, { group_id, file_name }: Payloads['remove_file']): ResultOf<'remove_file'> {
  const { daemon, group } = memberOf(tx, group_id);
  const file = requireFile(group, file_name);
  if (group.owner !== daemon.user && file.publisher !== daemon.user) {
    throw new MtError(
      'FORBIDDEN',
      `Only the owner of "${group.id}" and the publisher of "${file.name}" may take it out`,
      file.sharers.has(daemon)
        ? `To stop sharing it yourself: mt stop_share ${group.id} ${shellWord(file.name)}`
        : `Ask ${file.publisher.id} or ${group.owner.id}`,
    );
  }
  dropFile(tx, file, 'removed');
  return {};
}

/** Ends one share; the file leaves the group with its last complete one. Tells of the file only: see types.ts, share_stopped. */
export function endShare(tx: Transaction, share: Share): void {
  const { file } = share;
  // Gone already with an earlier share of the same leaving member.
  if (file.sharers.get(share.daemon) !== share) return;
  tx.state.removeShare(share);
  if (file.completeCount === 0) dropFile(tx, file, 'last_share');
}

function dropFile(tx: Transaction, file: File, reason: 'removed' | 'last_share'): void {
  tx.state.removeFile(file);
  tx.emit({ type: 'file_removed', ...placeOf(file), reason, manifest_hash: fromHex(file.content.manifestHash) });
}

function becomeSharer(tx: Transaction, file: File, daemon: Daemon, complete: boolean): void {
  const share = file.sharers.get(daemon);
  if (share === undefined) {
    requireRoom(tx, daemon);
    startShare(tx, file, daemon, complete);
  } else {
    tx.state.completeShare(share);
    tx.emit({ type: 'share_completed', ...placeOf(file), user_id: daemon.user.id, fingerprint: daemon.fingerprint });
  }
}

function startShare(tx: Transaction, file: File, daemon: Daemon, complete: boolean): void {
  tx.state.addShare(new Share(file, daemon, complete));
  const { user, fingerprint } = daemon;
  tx.emit({ type: 'share_started', ...placeOf(file), user_id: user.id, fingerprint, complete });
}

function memberOf(tx: Transaction, groupId: string): { daemon: Daemon; group: Group } {
  const { daemon } = tx.session();
  const group = requireGroup(tx.state, groupId);
  requireMember(group, daemon.user);
  return { daemon, group };
}

/** The file that a download is about: by name, and still with the content that the daemon means. */
function contentOf(
  tx: Transaction,
  payload: { readonly group_id: string; readonly file_name: string; readonly manifest_hash: Uint8Array },
): { daemon: Daemon; file: File } {
  const { daemon, group } = memberOf(tx, payload.group_id);
  const file = requireFile(group, payload.file_name);
  if (file.content.manifestHash === toHex(payload.manifest_hash)) return { daemon, file };
  throw new MtError(
    'NO_SUCH_FILE',
    `"${file.name}" in "${group.id}" is another file now, published by ${file.publisher.id}`,
    `To get that one: mt download_file ${group.id} ${shellWord(file.name)} <destination_path>`,
  );
}

function requireRoom(tx: Transaction, daemon: Daemon): void {
  const { filesPerUser } = tx.state.limits;
  if (daemon.user.shareCount < filesPerUser) return;
  throw new MtError(
    'FORBIDDEN',
    `You share ${daemon.user.shareCount} files on all your daemons; at most ${filesPerUser} are allowed`,
    'End some: mt stop_share <group_id> <file_name>',
  );
}

function placeOf(file: File): { group_id: string; file_name: string } {
  return { group_id: file.group.id, file_name: file.name };
}

/** A name as it can be pasted into a shell. */
function shellWord(name: string): string {
  return /^[\w.@%+=:,/-]+$/.test(name) && !name.startsWith('-') ? name : `'${name.replaceAll("'", `'\\''`)}'`;
}
