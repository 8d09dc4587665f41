// upload_file: checks the path, hashes the file once, makes it a share. The content never leaves this machine here.
// The file is opened once, symlinks resolved before, and must be the same after hashing as before: no swap goes unnoticed.
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, realpath } from 'node:fs/promises';
import { basename } from 'node:path';
import { isMtError, MtError } from '../codec/errors.ts';
import { requireFileName } from '../codec/ids.ts';
import { encodeManifest, type Manifest, manifestHash } from '../codec/manifest.ts';
import { type FileIdentity, identityOf, sameFile } from './disk/file-identity.ts';
import type { FileHasher } from './disk/hash.ts';
import type { FileRef } from './download/types.ts';
import { FILE_SIZE_MAX } from './pieces/geometry.ts';
import type { Shares } from './share.ts';
import type { ShareRecord } from './store/share-store.ts';
import { notLoggedIn, type TrackerClient } from './tracker-client.ts';

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
   * @throws MtError PATH_NOT_FOUND, PERMISSION, INVALID_ARGUMENT (no regular file, or changed meanwhile), INVALID_NAME,
   * ALREADY_SHARED, FILE_EXISTS, NOT_MEMBER … as CONTRACT.md says.
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
    const { handle, path, identity } = await openRegular(request.path);
    try {
      const known = this.#shares.record(file);
      if (known && known.path === path && sameFile(known, identity)) throw alreadyShared(file);
      await this.#askGroup(file, identity.sizeBytes, request);
      const manifest = await this.#hash(handle, identity, request);
      await requireUnchanged(handle, path, identity);
      const encoded = encodeManifest(manifest);
      const hash = manifestHash(encoded);
      // The group's name may have ended or come to be ours while we hashed.
      const nowKnown = this.#shares.record(file);
      if (nowKnown) return await this.#again(nowKnown, { path, identity, hash, manifest });
      const share = { ...file, path, ...identity, manifest: encoded, manifestHash: hash };
      const { newFile } = await this.#shares.publish(share, timeoutMs);
      return { fileName, manifest, newFile };
    } finally {
      await handle.close();
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
    found: { path: string; identity: FileIdentity; hash: Uint8Array; manifest: Manifest },
  ): Promise<Uploaded> {
    if (!Buffer.from(known.manifestHash).equals(found.hash)) throw fileExists(known);
    const intact = await lstat(known.path, { bigint: true }).then(
      (stats) => sameFile(identityOf(stats), known),
      () => false,
    );
    if (intact && known.path === found.path) throw alreadyShared(known);
    this.#shares.relocate(known, found.path, found.identity);
    return { fileName: known.fileName, manifest: found.manifest, newFile: false };
  }

  #hash(handle: FileHandle, { sizeBytes }: FileIdentity, request: UploadRequest): Promise<Manifest> {
    const onProgress = (bytesDone: number) => request.onProgress(bytesDone, sizeBytes);
    return this.#hasher.hash({ handle, sizeBytes, signal: request.signal, onProgress });
  }
}

/** Opens what the path leads to; a FIFO or device never blocks us. */
async function openRegular(typed: string): Promise<{ handle: FileHandle; path: string; identity: FileIdentity }> {
  let handle: FileHandle | undefined;
  try {
    const path = await realpath(typed);
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stats = await handle.stat({ bigint: true });
    if (!stats.isFile()) {
      throw new MtError(
        'INVALID_ARGUMENT',
        `${typed} is ${stats.isDirectory() ? 'a directory' : 'no regular file'}`,
        'Only regular files can be shared.',
      );
    }
    const identity = identityOf(stats);
    if (identity.sizeBytes > FILE_SIZE_MAX) throw new MtError('TOO_LARGE', `${typed} is larger than 8 TiB`);
    return { handle, path, identity };
  } catch (error) {
    await handle?.close();
    throw error instanceof MtError ? error : pathError(typed, error as NodeJS.ErrnoException);
  }
}

function pathError(path: string, cause: NodeJS.ErrnoException): MtError {
  switch (cause.code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new MtError('PATH_NOT_FOUND', `There is no file ${path}`);
    case 'EACCES':
    case 'EPERM':
      return new MtError('PERMISSION', `This user may not read ${path}`);
    default:
      return new MtError('INVALID_ARGUMENT', `${path} cannot be opened as a file (${cause.code ?? 'unknown error'})`);
  }
}

async function requireUnchanged(handle: FileHandle, path: string, before: FileIdentity): Promise<void> {
  const opened = identityOf(await handle.stat({ bigint: true }));
  const atPath = await lstat(path, { bigint: true }).catch(() => null);
  if (sameFile(opened, before) && atPath && sameFile(identityOf(atPath), before)) return;
  throw new MtError(
    'INVALID_ARGUMENT',
    `${path} was changed while it was read`,
    'Upload it again when it is complete.',
  );
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
