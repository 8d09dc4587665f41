// Where the control socket may lie: in a directory that only its user can enter. The socket is 0600 by itself; its directory keeps
// others from putting one of their own in its place, which would be told passwords.
import { chmodSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, relative } from 'node:path';
import { MtError } from '../codec/errors.ts';
import { stateError } from './disk/disk-error.ts';

const STICKY = 0o1000;
const OTHERS_ENTER = 0o011;
const OTHERS = 0o077;

/**
 * Makes the directory of this socket, 0700; one of the user's own that others may enter becomes 0700. Accepted too: one below a
 * directory that others cannot enter; and the system's own for temporary files, where nobody can replace what is another's.
 * @returns a warning for the log, or null. @throws MtError PERMISSION when others can come in.
 */
export function prepareSocketDirectory(socket: string): string | null {
  const asked = dirname(socket);
  try {
    mkdirSync(asked, { recursive: true, mode: 0o700 });
    const directory = realpathSync(asked);
    const { mode, uid } = statSync(directory);
    const own = uid === process.getuid!();
    if (own && (mode & OTHERS) === 0) return null;
    if (own && isOfUser(directory)) {
      chmodSync(directory, 0o700);
      return `${directory} was open to others, and is private now: it holds the control socket`;
    }
    if (isHidden(directory)) return null;
    if ((mode & STICKY) !== 0 && uid === 0) {
      return `others can enter ${directory}: the socket itself is private, a directory of its own would be better`;
    }
    throw new MtError(
      'PERMISSION',
      `Others can enter the control socket's directory ${directory}`,
      'Give the socket a directory of its own (--socket DIR/peerd.sock), or close this one: chmod 700',
    );
  } catch (error) {
    throw error instanceof MtError ? error : stateError(`The socket's directory ${asked} cannot be used`, error);
  }
}

/** Below one that only this user, or root, can enter. */
function isHidden(directory: string): boolean {
  for (let path = dirname(directory); path !== dirname(path); path = dirname(path)) {
    const { mode, uid } = statSync(path);
    if ((mode & OTHERS_ENTER) === 0 && (uid === process.getuid!() || uid === 0)) return true;
  }
  return false;
}

/** Not the home itself, nor (for root) a directory of the system: those are not ours to close. */
function isOfUser(directory: string): boolean {
  const home = homedir();
  if (directory === home || (statSync(directory).mode & STICKY) !== 0) return false;
  if (process.getuid!() !== 0) return true;
  const below = relative(home, directory);
  if (home !== '/' && below !== '' && !below.startsWith('..')) return true;
  for (let path = dirname(directory); path !== dirname(path); path = dirname(path)) {
    if ((statSync(path).mode & STICKY) !== 0) return true;
  }
  return false;
}
