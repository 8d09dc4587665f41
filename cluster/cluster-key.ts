// The cluster key file: reads it, checks that nobody else can, makes it on loopback at first start; elsewhere `init` makes it.
// Several trackers that start at the same moment agree on one key: it appears under its name whole, and only once.
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, relative } from 'node:path';
import { MtError } from '../codec/errors.ts';
import { fingerprintOf, makeClusterKeyPem, parseClusterKeyPem } from '../codec/identity.ts';
import { isLoopback, type TrackerInfo } from '../codec/tracker-info.ts';
import { type ClusterKey, clusterKeyOf } from './node/tls.ts';

/**
 * The key of the cluster that `info` describes.
 * @throws MtError PERMISSION when others may read it, PATH_NOT_FOUND when there is none off loopback, UNTRUSTED_CLUSTER when the
 * tracker file pins another one, INVALID_ARGUMENT when it is no key or lies in the data directory.
 */
export function loadClusterKey(path: string, info: TrackerInfo, dataDir: string): ClusterKey {
  if (!relative(dataDir, path).startsWith('..')) {
    throw new MtError(
      'INVALID_ARGUMENT',
      `The cluster key ${path} lies in the data directory`,
      'Keep it elsewhere: a copy of the data must not give away the cluster.',
    );
  }
  let pem = readKeyFile(path);
  if (pem === null) {
    if (!info.addresses.every(({ host }) => isLoopback(host))) {
      throw new MtError(
        'PATH_NOT_FOUND',
        `There is no cluster key at ${path}`,
        'Make one on one machine with: mt-trackerd init — then copy it to all trackers, readable by their user only.',
      );
    }
    makeClusterKey(path);
    pem = readKeyFile(path)!;
  }
  return trustedKey(path, pem, info);
}

/** The key for administering a cluster that exists: never made here. @throws MtError as above. */
export function openClusterKey(path: string, info: TrackerInfo): ClusterKey {
  const pem = readKeyFile(path);
  if (pem !== null) return trustedKey(path, pem, info);
  throw new MtError('PATH_NOT_FOUND', `There is no cluster key at ${path}`, 'Say where it is: --cluster-key FILE');
}

function trustedKey(path: string, pem: string, info: TrackerInfo): ClusterKey {
  const keys = parseClusterKeyPem(pem);
  const fingerprints = keys.map(fingerprintOf);
  if (
    info.keyFingerprints.length > 0 &&
    !fingerprints.some((fingerprint) => info.keyFingerprints.includes(fingerprint))
  ) {
    throw new MtError(
      'UNTRUSTED_CLUSTER',
      `The tracker file names another cluster key than the one in ${path}, which is ${fingerprints[0]}`,
      'Use the key that belongs to that file (--cluster-key), or correct the "key" line.',
    );
  }
  return clusterKeyOf(keys);
}

/**
 * Makes a new key file, durable and 0600. Whoever comes second leaves the first one's alone.
 * @returns false when there was one already.
 */
export function makeClusterKey(path: string): boolean {
  const folder = dirname(path);
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const fd = openSync(temporary, 'wx', 0o600);
    try {
      writeFileSync(fd, makeClusterKeyPem());
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    try {
      linkSync(temporary, path); // fails when the name is taken, unlike rename
    } finally {
      unlinkSync(temporary);
    }
    const folderFd = openSync(folder, 'r');
    fsyncSync(folderFd);
    closeSync(folderFd);
    return true;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    throw fileError(`The cluster key ${path} cannot be made`, cause);
  }
}

/** Null when there is no such file. @throws MtError PERMISSION when anyone but its owner may read it. */
export function readKeyFile(path: string): string | null {
  try {
    const { mode } = statSync(path);
    if ((mode & 0o077) !== 0) {
      throw new MtError('PERMISSION', `Others may read the cluster key ${path}`, `Run: chmod 600 ${path}`);
    }
    return readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw fileError(`The cluster key ${path} cannot be read`, cause);
  }
}

/** What the operating system said, as an error of ours. */
export function fileError(what: string, cause: unknown): unknown {
  if (cause instanceof MtError) return cause;
  const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
  if (code === 'ENOENT') return new MtError('PATH_NOT_FOUND', `${what}: there is no such file or directory`);
  const ours = code === 'ENOSPC' || code === 'EDQUOT' || code === 'SQLITE_FULL' ? 'DISK_FULL' : 'PERMISSION';
  return new MtError(ours, `${what} (${code})`, undefined, { cause });
}
