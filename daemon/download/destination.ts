// Where a download goes: what the user named, checked before anything starts. Nothing that a tracker or peer says is part of a
// path but the file's name, which has passed its schema (codec/ids.ts): no separators, no NUL, not `.` or `..`.
import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { access, constants, lstat, realpath, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { MtError } from '../../codec/errors.ts';
import { FILE_NAME_BYTES_MAX } from '../../codec/limits.ts';
import { fileError } from '../disk/disk-error.ts';

/** Left to others on a nearly full disk: databases and logs need room too. */
const SPARE_BYTES = 4 * 1024 * 1024;

/**
 * The path of the finished file: symbolic links in its directory are resolved now, so that they cannot change under us.
 * @param asked an existing directory (the file keeps its name) or a file's path.
 * @throws MtError PATH_NOT_FOUND, DESTINATION_EXISTS, PERMISSION, INVALID_ARGUMENT
 */
export async function resolveDestination(asked: string, fileName: string, force: boolean): Promise<string> {
  const found = await statOrNull(asked, stat);
  const path = found?.isDirectory() ? join(asked, fileName) : asked;
  const directory = await realpath(dirname(path)).catch((error: unknown) => {
    throw fileError(error, path);
  });
  const destination = join(directory, basename(path));
  // Of the name itself: a dangling or other symbolic link is in the way too.
  const taken = await statOrNull(destination, lstat);
  if (taken?.isDirectory()) throw new MtError('DESTINATION_EXISTS', `"${destination}" is a directory`);
  if (taken && !force) {
    throw new MtError(
      'DESTINATION_EXISTS',
      `"${destination}" exists already`,
      'Use --force to replace it, or name another destination.',
    );
  }
  await access(directory, constants.W_OK | constants.X_OK).catch((error: unknown) => {
    throw fileError(error, destination);
  });
  return destination;
}

/** A free name beside the destination for the unfinished file, recognisable, and never longer than a name may be. */
export async function choosePartPath(destination: string): Promise<string> {
  const directory = dirname(destination);
  const name = basename(destination);
  const fits = Buffer.byteLength(name) + '.part'.length <= FILE_NAME_BYTES_MAX;
  let path = join(directory, fits ? `${name}.part` : `${randomBytes(8).toString('hex')}.part`);
  while ((await statOrNull(path, lstat)) !== null) {
    const unique = `${randomBytes(4).toString('hex')}.part`;
    const named = `${name}.${unique}`;
    path = join(directory, Buffer.byteLength(named) <= FILE_NAME_BYTES_MAX ? named : unique);
  }
  return path;
}

/**
 * Whether `bytes` more fit where `path` will be.
 * @returns null, or what is wrong.
 */
export async function findSpaceProblem(path: string, bytes: number): Promise<MtError | null> {
  try {
    const { bavail, bsize } = await statfs(dirname(path));
    const free = bavail * bsize;
    if (free >= bytes + (bytes > 0 ? SPARE_BYTES : 0)) return null;
    return new MtError(
      'DISK_FULL',
      `There is no room for "${path}": ${bytes} bytes are still to come, ${free} are free`,
      'Free some space; the download goes on by itself.',
    );
  } catch (error) {
    return fileError(error, path);
  }
}

async function statOrNull(path: string, how: (path: string) => Promise<Stats>): Promise<Stats | null> {
  try {
    return await how(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    throw fileError(error, path);
  }
}
