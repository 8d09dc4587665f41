// upload_file: checks the path, hashes the file or the directory once, makes it a share. The content never leaves this machine here.
import { basename } from 'node:path';
import { isMtError, MtError } from '../codec/errors.ts';
import { requireFileName } from '../codec/ids.ts';
import { encodeManifest, type Manifest, manifestHash } from '../codec/manifest.ts';
import { sameFile } from './disk/file-identity.ts';
import type { FileHasher } from './disk/hash.ts';
import type { FileRef } from './download/types.ts';
import type { Shares } from './share.ts';
import type { ShareRecord } from './store/share-store.ts';
import { notLoggedIn, type TrackerClient } from './tracker-client.ts';
import { compareShare } from './tree/tree-index.ts';
import { openUpload, type UploadSource } from './upload-source.ts';

export interface UploadRequest {
  /** Absolute, as the user means it. */
  readonly path: string;
  readonly groupId: string;
  /** For the trackers; hashing takes as long as it takes. */
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (bytesDone: number, size: number) => void;
}

export interface Uploaded {
  readonly fileName: string;
  readonly manifest: Manifest;
  /** False: the group had this very file. */
  readonly newFile: boolean;
}

export class Uploads {
  readonly #shares: Shares;
  readonly #hasher: FileHasher;
  readonly #client: TrackerClient;
  /** One upload of a name at a time: the second sees what the first did. */
  readonly #underWay = new Map<string, Promise<unknown>>();

  constructor(parts: { shares: Shares; hasher: FileHasher; client: TrackerClient }) {
    this.#shares = parts.shares;
    this.#hasher = parts.hasher;
    this.#client = parts.client;
  }

  /** Uploads that are being hashed or told to the trackers, or wait for that. */
  get underWay(): number {
    return this.#underWay.size;
  }

  /**
   * @throws MtError PATH_NOT_FOUND, PERMISSION, INVALID_ARGUMENT (neither file nor directory, a link in it, or changed meanwhile),
   * INVALID_NAME, TOO_LARGE, ALREADY_SHARED, FILE_EXISTS, NOT_MEMBER; or as the trackers cannot be asked.
   */
  async upload(request: UploadRequest): Promise<Uploaded> {
    if (!this.#shares.session) throw notLoggedIn();
    const fileName = requireFileName(basename(request.path));
    const key = `${request.groupId}/${fileName}`;
    const before = this.#underWay.get(key);
    const work = (before ?? Promise.resolve()).catch(() => {}).then(() => this.#upload(request, fileName));
    this.#underWay.set(key, work);
    try {
      return await work;
    } finally {
      if (this.#underWay.get(key) === work) this.#underWay.delete(key);
    }
  }

  async #upload(request: UploadRequest, fileName: string): Promise<Uploaded> {
    const { groupId, timeoutMs } = request;
    const file: FileRef = { groupId, fileName };
    const source = await openUpload(request.path, request.signal);
    try {
      const known = this.#shares.record(file);
      if (known && isSameSource(known, source)) throw alreadyShared(file);
      const { path, identity, tree } = source;
      await this.#askGroup(file, identity.sizeBytes, request);
      const manifest = await this.#hash(source, request);
      await source.requireUnchanged();
      const encoded = encodeManifest(manifest);
      const hash = manifestHash(encoded);
      // The group's name may have ended or come to be ours while we hashed.
      const nowKnown = this.#shares.record(file);
      if (nowKnown) return await this.#again(nowKnown, { source, hash, manifest });
      const share = { ...file, path, ...identity, tree, manifest: encoded, manifestHash: hash };
      const { newFile } = await this.#shares.publish(share, timeoutMs);
      return { fileName, manifest, newFile };
    } finally {
      await source.close();
    }
  }

  /** Before minutes of hashing: would the group take it at all? */
  async #askGroup({ groupId, fileName }: FileRef, sizeBytes: number, request: UploadRequest): Promise<void> {
    const wait = request.timeoutMs === undefined ? {} : { timeoutMs: request.timeoutMs };
    const ofFile = { group_id: groupId, file_name: fileName };
    try {
      const { file } = await this.#client.read('locate_file', ofFile, { ...wait, signal: request.signal });
      if (file.size !== sizeBytes) throw fileExists({ groupId, fileName });
    } catch (error) {
      if (!isMtError(error, 'NO_SUCH_FILE')) throw error;
    }
  }

  /** This daemon shares something under that name already. */
  async #again(
    known: ShareRecord,
    found: { source: UploadSource; hash: Uint8Array; manifest: Manifest },
  ): Promise<Uploaded> {
    if (!Buffer.from(known.manifestHash).equals(found.hash)) throw fileExists(known);
    const { path, identity, tree } = found.source;
    if (known.path === path && (await compareShare(known)) === 'intact') throw alreadyShared(known);
    this.#shares.relocate(known, path, identity, tree);
    return { fileName: known.fileName, manifest: found.manifest, newFile: false };
  }

  async #hash({ content, identity, treeSize }: UploadSource, request: UploadRequest): Promise<Manifest> {
    const { sizeBytes } = identity;
    const onProgress = (bytesDone: number) => request.onProgress(bytesDone, sizeBytes);
    const manifest = await this.#hasher.hash({ handle: content, sizeBytes, signal: request.signal, onProgress });
    return treeSize === undefined ? manifest : { ...manifest, treeSize };
  }
}

/** Shared from here already, and not touched since. */
function isSameSource(known: ShareRecord, { path, identity, tree }: UploadSource): boolean {
  if (known.path !== path || !sameFile(known, identity)) return false;
  return tree === null ? known.tree === null : known.tree !== null && Buffer.compare(known.tree, tree) === 0;
}

function alreadyShared({ groupId, fileName }: FileRef): MtError {
  return new MtError('ALREADY_SHARED', `"${fileName}" is shared in group ${groupId} from here already`);
}

function fileExists({ groupId, fileName }: FileRef): MtError {
  return new MtError(
    'FILE_EXISTS',
    `Group ${groupId} has another file named "${fileName}"`,
    'Give yours another name; or, if it is to take its place, end the old one first: mt stop_share, or mt remove_file',
  );
}
