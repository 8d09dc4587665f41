// What a disk that refuses means: to whoever owns the file, and to the daemon about what it keeps itself.
import { MtError } from '../../codec/errors.ts';

/** What a failed operation on a user's file means to that user. */
export function fileError(cause: unknown, path: string): MtError {
  const { code } = cause as { code?: string };
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new MtError('DISK_FULL', `There is no room left for "${path}"`, 'Free some space; it goes on by itself.');
    case 'EACCES':
    case 'EPERM':
      return new MtError('PERMISSION', `The daemon may not write "${path}"`, undefined, { cause });
    case 'EROFS':
      return new MtError('PERMISSION', `"${path}" is on a read-only file system`, undefined, { cause });
    case 'EEXIST':
      return new MtError('DESTINATION_EXISTS', `"${path}" exists already`, 'Use --force to replace it.');
    case 'ENOENT':
    case 'ENOTDIR':
      return new MtError('PATH_NOT_FOUND', `There is no directory for "${path}"`, undefined, { cause });
    case 'EISDIR':
      return new MtError('DESTINATION_EXISTS', `"${path}" is a directory`);
    case 'ELOOP':
      return new MtError('PERMISSION', `"${path}" is a symbolic link; the daemon does not write through it`);
    case 'ENAMETOOLONG':
      return new MtError('INVALID_ARGUMENT', `"${path}" is too long a path here`);
    case 'EFBIG':
      return new MtError('DISK_FULL', `"${path}" would be larger than this file system allows`);
    default:
      return new MtError('INTERNAL', `"${path}" could not be written (${code ?? 'unknown error'})`, undefined, {
        cause,
      });
  }
}

/** What the operating system said of something that the daemon keeps for itself; `what` is a sentence without its end. */
export function stateError(what: string, cause: unknown): MtError {
  const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
  return new MtError(isDiskFull(cause) ? 'DISK_FULL' : 'PERMISSION', `${what} (${code})`, undefined, { cause });
}

/** There may be room later: no reason to end the daemon. */
export function isDiskFull(cause: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'SQLITE_FULL'].includes((cause as NodeJS.ErrnoException).code ?? '');
}
