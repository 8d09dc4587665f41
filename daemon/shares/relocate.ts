// mt relocate: the user says where a shared file or directory is now. Nothing is believed: size and every hash must be those that
// the group knows, and it must be the same after hashing as before.
import { MtError } from '../../codec/errors.ts';
import { encodeManifest, manifestHash } from '../../codec/manifest.ts';
import type { FileHasher } from '../disk/hash.ts';
import type { FileRef } from '../download/types.ts';
import type { Shares } from '../share.ts';
import type { ShareRecord } from '../store/share-store.ts';
import { openUpload, type UploadSource } from '../upload-source.ts';
import { noSuchShare } from './scrubber.ts';

export interface RelocateRequest {
  readonly file: FileRef;
  /** Absolute, as the user means it. */
  readonly path: string;
  readonly signal: AbortSignal;
  readonly onProgress: (bytesDone: number, size: number) => void;
}

/**
 * Serves the share from `path` from now on.
 * @returns that path, symbolic links resolved.
 * @throws MtError NO_SUCH_SHARE, PATH_NOT_FOUND, PERMISSION, INVALID_ARGUMENT; INTEGRITY when it is another content.
 */
export async function relocate(
  { shares, hasher }: { shares: Shares; hasher: FileHasher },
  request: RelocateRequest,
): Promise<string> {
  const { file, path: typed, signal } = request;
  const record = shares.record(file);
  if (!record) throw noSuchShare(file);
  const source = await openUpload(typed, signal);
  try {
    const { path, identity, tree } = source;
    const [is, was] = [identity.sizeBytes, record.sizeBytes];
    if (is !== was) throw otherContent(typed, record, `it has ${is} bytes, not ${was}`);
    const found = await hashOf(source, hasher, request);
    if (Buffer.compare(found, record.manifestHash) !== 0) throw otherContent(typed, record, 'its hashes differ');
    await source.requireUnchanged();
    if (!shares.record(file)) throw noSuchShare(file);
    shares.relocate(file, path, identity, tree);
    return path;
  } finally {
    await source.close();
  }
}

async function hashOf(
  { content, identity, treeSize }: UploadSource,
  hasher: FileHasher,
  { signal, onProgress }: RelocateRequest,
): Promise<Uint8Array> {
  const { sizeBytes } = identity;
  const progress = (bytesDone: number) => onProgress(bytesDone, sizeBytes);
  const manifest = await hasher.hash({ handle: content, sizeBytes, signal, onProgress: progress });
  return manifestHash(encodeManifest(treeSize === undefined ? manifest : { ...manifest, treeSize }));
}

function otherContent(typed: string, { fileName, groupId }: ShareRecord, why: string): MtError {
  return new MtError(
    'INTEGRITY',
    `${typed} is not the content that group ${groupId} knows as "${fileName}": ${why}`,
    'Name the file itself; or, to share other content, use another name: mt upload_file',
  );
}
