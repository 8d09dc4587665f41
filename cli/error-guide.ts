// What every error code means, why it comes and what to do: the one text behind `mt help <CODE>`, FAQ.md and the page mt-errors(7).
// A code of codec/errors.ts that is missing here does not compile.
import { type ErrorCode, EXIT_OF } from '../codec/errors.ts';
import { byExit } from './error-sets.ts';

export interface ErrorEntry {
  /** What happened, in one sentence. */
  readonly means: string;
  readonly why: string;
  readonly todo: string;
}

export const ERROR_GUIDE: Readonly<Record<ErrorCode, ErrorEntry>> = {
  INTERNAL: {
    means: 'A program has a fault.',
    why: 'Something happened that its authors thought impossible. Nothing that was acknowledged is lost.',
    todo: 'Look at the log of the program that says it (`peerd.log` in the data directory, or `journalctl`), and report it with that line.',
  },
  USAGE: {
    means: 'The line cannot be understood.',
    why: 'An argument is missing or one too many, a flag does not exist, or a password is needed and there is no way to ask for it.',
    todo: '`mt help <command>` shows arguments, flags and examples. In scripts pass passwords with `--password-stdin`.',
  },
  INVALID_NAME: {
    means: 'A user, group or file cannot have this name.',
    why: 'User and group ids are 1 to 64 letters, digits, `.`, `_` or `-`, starting with a letter or digit. File names are 1 to 255 bytes without `/`, `\\` and control characters.',
    todo: 'Choose another name. A file is shared under the name that it has on the disk: rename it first.',
  },
  INVALID_ARGUMENT: {
    means: 'A value is not of the kind that is wanted.',
    why: 'A size without a number, a port beyond 65535, a path to something that is no plain file, an option in a configuration file that does not exist.',
    todo: 'The message names the value and what it should look like: sizes as `64K` or `20M`.',
  },
  INVALID_TRACKER_INFO: {
    means: 'The tracker info file is missing or wrong, or not the same on all trackers.',
    why: 'It holds the address of each tracker, as `ip:port` on a line of its own, in the same order everywhere, and perhaps a line `key <fingerprint>`.',
    todo: 'The message names the line. Give every tracker and every user the same file.',
  },
  DAEMON_UNREACHABLE: {
    means: '`mt` does not find a running daemon.',
    why: '`mt-peerd` was not started, was started with another `--socket`, or by another user.',
    todo: '`mt daemon start <ip>:<port> <tracker_info_file>`, or name the socket with `--socket PATH` or `MT_SOCKET`: the message says where `mt` looked.',
  },
  DAEMON_VERSION: {
    means: '`mt` and the daemon do not understand each other.',
    why: 'One of them was updated and the other still runs the old version, or something else listens on that socket.',
    todo: 'Restart the daemon: `mt daemon stop`, then `mt daemon start`. `mt status` shows both versions.',
  },
  NOT_LOGGED_IN: {
    means: 'Nobody is logged in at this daemon.',
    why: 'You never logged in here, logged out, or ended this session from elsewhere with `mt revoke_session`.',
    todo: '`mt login <user_id>`. What this user shared here before is shared again.',
  },
  BAD_CREDENTIALS: {
    means: 'User and password do not match.',
    why: 'The password is wrong, or there is no such user: which of both is told to nobody.',
    todo: 'Try again, or make the account: `mt create_user <user_id>`. Nobody can read a forgotten password.',
  },
  TOO_MANY_ATTEMPTS: {
    means: 'There were too many failed logins.',
    why: 'After five failures each further one costs a longer wait, for that account and from that address. It keeps passwords from being guessed.',
    todo: 'Wait as long as the message says. The right password works again then.',
  },
  ALREADY_LOGGED_IN: {
    means: 'Somebody else is logged in at this daemon.',
    why: 'A daemon serves one user at a time.',
    todo: '`mt logout` first, or run a second daemon for the second user with `--data-dir` and `--socket` of its own.',
  },
  NOT_MEMBER: {
    means: 'You are not a member of this group.',
    why: 'Only members list, share and fetch. You never asked, the owner has not decided yet, or you were removed.',
    todo: '`mt join_group <group_id>`, then wait for its owner. `mt list_groups` shows how you stand.',
  },
  NOT_OWNER: {
    means: 'Only the owner of the group may do this.',
    why: 'The owner decides about requests and members.',
    todo: '`mt list_groups` shows who owns it. An owner can hand over with `mt transfer_ownership`.',
  },
  FORBIDDEN: {
    means: 'You have no right to this.',
    why: 'Only the owner of a group or who published a file removes it; a seeder serves only holders of a valid ticket of the trackers. A clock that is wrong by more than a minute spoils tickets too.',
    todo: 'Ask the owner or publisher. When a download is refused though you are a member: `mt doctor` compares the clocks.',
  },
  UNTRUSTED_CLUSTER: {
    means: 'Whoever answers as a tracker does not hold the key that you trust.',
    why: 'The tracker info file has no `key` line and the trackers are not on this computer, the cluster changed its key, or somebody poses as a tracker.',
    todo: 'Compare the fingerprint in the message with the one that the operator tells you, put `key <fingerprint>` into the tracker info file, and start again. `--trust-first-use` accepts it unseen.',
  },
  NO_SUCH_GROUP: {
    means: 'There is no group of this name.',
    why: 'It is mistyped, was never made, or ended when its last member left.',
    todo: '`mt list_groups` lists all of them.',
  },
  NO_SUCH_MEMBER: {
    means: 'This user is no member, or this tracker no member of the cluster.',
    why: 'The name or number is wrong, or it was removed already.',
    todo: '`mt list_members <group_id>`; for trackers `mt-trackerd members list`.',
  },
  NO_SUCH_FILE: {
    means: 'The group has no file of this name.',
    why: 'It is mistyped, was removed, or its last sharer stopped sharing it.',
    todo: '`mt list_files <group_id>`. Names with blanks belong in quotes; Tab completes them.',
  },
  NO_SUCH_REQUEST: {
    means: 'This user has not asked to join the group.',
    why: 'The request was decided already, withdrawn, or never made.',
    todo: '`mt list_requests <group_id>` shows who waits.',
  },
  NO_SUCH_DOWNLOAD: {
    means: 'This daemon has no such download.',
    why: 'It ended, was cancelled, or belongs to another daemon of yours.',
    todo: '`mt show_downloads` lists them.',
  },
  NO_SUCH_SHARE: {
    means: 'This daemon does not share such a file.',
    why: 'It was stopped already, or another daemon of yours shares it.',
    todo: '`mt show_shares` lists what this one shares.',
  },
  PATH_NOT_FOUND: {
    means: 'There is no such file or directory on this computer.',
    why: 'The path is mistyped, or the directory of a download does not exist. Paths count from your working directory.',
    todo: 'Look with `ls`; make the directory first.',
  },
  TRACKER_UNREACHABLE: {
    means: 'No tracker answers.',
    why: 'They do not run, the network is down, or the tracker info file names other addresses. Transfers under way go on.',
    todo: '`mt doctor` shows what is tried. Who runs the trackers starts them again; nothing needs to be repeated that was acknowledged.',
  },
  NO_QUORUM: {
    means: 'Trackers answer, but fewer than a majority: nothing can be decided.',
    why: 'Of three trackers two must run and see each other, of five three. Nothing was changed.',
    todo: '`mt tracker_status` shows which are away. Start them; wait longer with `--timeout SECONDS`. If a majority is lost for good: OPERATIONS.md, Disaster.',
  },
  OUTCOME_UNKNOWN: {
    means: 'The command was sent and no answer came: it may or may not have happened.',
    why: 'The daemon or the trackers went away between. Nobody can know, so nobody pretends.',
    todo: 'Look at the state first (`mt status`, or the list that it would change), then repeat it if need be.',
  },
  NO_SEEDERS: {
    means: 'Nobody who has the file can be reached.',
    why: 'All who share it are offline, or have only parts of it, or cannot be reached from here. After 30 s without any source `mt` stops waiting; the download stays in the daemon.',
    todo: 'Nothing: it goes on by itself when somebody comes. `mt list_seeders <group_id> <file_name>` shows who has it, `mt cancel_download` gives it up. Sharers whose port is closed see that in `mt doctor`.',
  },
  TIMEOUT: {
    means: 'An answer took too long.',
    why: 'The other side is overloaded, frozen, or far away.',
    todo: 'Try again, or give it longer with `--timeout SECONDS`.',
  },
  INTEGRITY: {
    means: 'What came is not what was published.',
    why: 'Every piece was right and the whole is not: whoever published the file told a wrong SHA-1. Or data on a disk was damaged.',
    todo: 'Nothing of it is kept. Ask the publisher, whom the message names, to share it anew. A tracker’s own data: `mt-trackerd verify`.',
  },
  DISK_FULL: {
    means: 'The disk is full.',
    why: 'There is no room for the file, or a quota is used up.',
    todo: 'Make room: the download waits in the daemon and goes on by itself.',
  },
  PERMISSION: {
    means: 'The operating system forbids it.',
    why: 'You may not read the file, write the directory, open the socket, or listen on the port.',
    todo: 'The message names the path. Ports below 1024 are for root; the daemon runs as its user.',
  },
  ADDRESS_IN_USE: {
    means: 'Another program has this port.',
    why: 'A daemon or tracker runs already, perhaps an older one.',
    todo: 'Choose another port, or end that program: `ss -ltnp` shows it.',
  },
  DATA_DIR_LOCKED: {
    means: 'Another daemon runs on this data directory.',
    why: 'Two would spoil each other’s data.',
    todo: 'Use the one that runs, or start the second with the line that the message shows.',
  },
  USER_EXISTS: {
    means: 'This user id is taken.',
    why: 'Somebody, perhaps you, made that account before.',
    todo: 'Log in, or choose another id.',
  },
  GROUP_EXISTS: {
    means: 'This group id is taken.',
    why: 'Groups are known to the whole network.',
    todo: '`mt join_group` to ask for it, or choose another id.',
  },
  ALREADY_MEMBER: {
    means: 'This user is a member already.',
    why: 'A request was accepted before.',
    todo: 'Nothing.',
  },
  ALREADY_REQUESTED: {
    means: 'You asked to join already.',
    why: 'The owner has not decided yet.',
    todo: 'Wait, or withdraw it with `mt leave_group`.',
  },
  FILE_EXISTS: {
    means: 'The group has another file of this name.',
    why: 'Only the same content may be shared under a name that is taken: then you become one more seeder.',
    todo: 'Rename yours, or have the other removed with `mt remove_file` first.',
  },
  ALREADY_SHARED: {
    means: 'This daemon shares that file already.',
    why: 'It was uploaded or fetched here before.',
    todo: 'Nothing. `mt show_shares` shows from where.',
  },
  ALREADY_DOWNLOADED: {
    means: 'This file is here already, or on its way.',
    why: 'A finished download is a share; a second one of it is started only when you say so.',
    todo: 'The message says where it is. `--force` fetches it again.',
  },
  DESTINATION_EXISTS: {
    means: 'Something of that name is at the destination.',
    why: 'A download never overwrites by itself.',
    todo: 'Choose another destination, or replace it with `--force`.',
  },
  INTERRUPTED: {
    means: 'You pressed Ctrl-C, or a signal ended the command.',
    why: 'Only the command ends: downloads go on in the daemon.',
    todo: '`mt show_downloads` shows them, `mt cancel_download` ends one.',
  },
  PROTOCOL: {
    means: 'The other side said something that is no mini-torrent, or not this version of it.',
    why: 'Another program has that port, or two versions meet.',
    todo: 'Compare the versions (`mt --version`, `mt-peerd --version`, `mt-trackerd --version`) and the addresses.',
  },
  PROTOCOL_VERSION: {
    means: 'The two programs have no protocol version in common.',
    why: 'One of them is much older than the other.',
    todo: 'Update the older one: trackers first, then daemons.',
  },
  TOO_LARGE: {
    means: 'Something is larger than any limit allows.',
    why: 'A message, a tree of directories, or a list is beyond what the programs accept from each other.',
    todo: 'Share less at once: split the directory, or pack it into one file.',
  },
  OVERLOADED: {
    means: 'The other side has too much to do, or you asked for too much.',
    why: 'Connections, new accounts and the like are limited for each address, so that nobody crowds out the others.',
    todo: 'Try again in a while. Who runs the cluster can raise `--max-connections-per-address`.',
  },
  CLIENT_EXPIRED: {
    means: 'The trackers have forgotten this daemon’s numbering of commands.',
    why: 'It was away for very long, and a command was repeated afterwards: whether it took effect before is not known.',
    todo: 'Look at the state first, then repeat the command if need be.',
  },
  CANCELLED: {
    means: 'The caller gave up.',
    why: 'The program that asked ended before the answer.',
    todo: 'Nothing; a download that was started goes on.',
  },
  CLOSED: {
    means: 'The connection ended before the answer.',
    why: 'The other program stopped or was restarted, or the network broke.',
    todo: 'Try again: daemons look for another tracker by themselves.',
  },
};

export function isErrorCode(word: string): word is ErrorCode {
  return Object.hasOwn(EXIT_OF, word);
}

/** For `mt help <CODE>`: plain text. */
export function errorHelp(code: ErrorCode): string {
  const { means, why, todo } = ERROR_GUIDE[code];
  const plain = (text: string) => text.replaceAll('`', '');
  return [`${code} (exit ${EXIT_OF[code]})`, '', plain(means), plain(why), '', plain(todo)].join('\n');
}

/** The part of FAQ.md that is made from here (`npm run man`). */
export function faqSections(): string {
  const sections = byExit(Object.keys(EXIT_OF) as ErrorCode[]).map(([exit, codes]) => {
    const entries = codes.map((code) => {
      const { means, why, todo } = ERROR_GUIDE[code];
      return `### ${code}\n\n**${means}** ${why}\n\n→ ${todo}\n`;
    });
    return `## Exit ${exit}\n\n${entries.join('\n')}`;
  });
  return sections.join('\n');
}
