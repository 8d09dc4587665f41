// What `mt doctor` looks at, one function a check. Each looks only, changes nothing, and says what to do when it is not well.
// They run beside the daemon, as the same user on the same computer: what only another computer can see, a tracker is asked for.
import { readFileSync, statfsSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import type { ControlApi } from '../../codec/control-api.ts';
import type { ErrorCode } from '../../codec/errors.ts';
import type { Result } from '../../codec/rpc.ts';
import { CLOCK_SKEW_MS } from '../../codec/ticket.ts';
import { formatDuration, formatSize } from '../render/units.ts';
import { VERSION } from '../version.ts';

export type DaemonStatus = Result<ControlApi, 'status'>;
export type TrackerStatus = Result<ControlApi, 'tracker_status'>;
export type Clocks = Result<ControlApi, 'check_clocks'>;
export type PortCheck = Result<ControlApi, 'check_port'>;
export type Shares = Result<ControlApi, 'show_shares'>['shares'];

export interface Finding {
  check: string;
  ok: boolean;
  detail: string;
  /** What to do; null when it is well. */
  advice: string | null;
  /** The error that this leads to; null when it is well. */
  code: ErrorCode | null;
}

/** Below it a download of any size is at risk, and SQLite too. */
const FREE_BYTES_MIN = 1024 ** 3;
/** A daemon holds a socket or two a peer, and a file a transfer. */
const OPEN_FILES_MIN = 4_096;
const CONNECT_MS_MAX = 3_000;
/** Half of what tickets bear: two daemons may be wrong in opposite directions. */
const CLOCK_AHEAD_MS_MAX = CLOCK_SKEW_MS / 2;

function good(check: string, detail: string): Finding {
  return { check, ok: true, detail, advice: null, code: null };
}

export function bad(check: string, code: ErrorCode, detail: string, advice: string): Finding {
  return { check, ok: false, detail, advice, code };
}

/** Only its user may open the socket and the directory around it. */
export function checkSocket(path: string): Finding {
  const mode = statSync(path).mode & 0o777;
  const folderMode = statSync(dirname(path)).mode & 0o777;
  if ((mode & 0o077) === 0 && (folderMode & 0o022) === 0) return good('socket', path);
  const open = (mode & 0o077) === 0 ? dirname(path) : path;
  return bad('socket', 'PERMISSION', `others can use ${open}`, `chmod go-rwx ${open}, and restart mt-peerd.`);
}

export function checkVersion(status: DaemonStatus): Finding {
  if (status.version === VERSION) return good('version', VERSION);
  const detail = `mt ${VERSION}, mt-peerd ${status.version}`;
  return bad('version', 'DAEMON_VERSION', detail, 'Restart mt-peerd with the version that is installed.');
}

export function checkLogin(status: DaemonStatus): Finding {
  if (status.user_id !== null) return good('login', status.user_id);
  return bad('login', 'NOT_LOGGED_IN', 'nobody is logged in', 'Run: mt login <user_id>');
}

export function checkTracker({ tracker }: DaemonStatus): Finding {
  if (tracker.connected) return good('tracker', `connected to ${tracker.address}`);
  const detail = tracker.error?.message ?? 'no tracker answers';
  const advice = tracker.error?.suggestion ?? 'See that the trackers run and that the tracker info file names them.';
  return bad('tracker', tracker.error?.code ?? 'TRACKER_UNREACHABLE', detail, advice);
}

export function checkQuorum({ trackers, leader }: TrackerStatus): Finding {
  const voters = trackers.filter(({ role }) => role !== 'learner' && role !== 'removed');
  const reachable = voters.filter((row) => row.reachable).length;
  const detail = `${reachable} of ${voters.length} trackers answer, ${leader === null ? 'no leader' : `leader ${leader}`}`;
  const missing = voters.filter((row) => !row.reachable).map((row) => `${row.number} (${row.address})`);
  if (leader === null) return bad('quorum', 'NO_QUORUM', detail, `Start these trackers: ${missing.join(', ')}`);
  if (missing.length === 0) return good('quorum', detail);
  return bad('quorum', 'TRACKER_UNREACHABLE', detail, `All still works. Start again: ${missing.join(', ')}`);
}

/** Peers dial this address: at least this computer must reach it. */
export async function checkPort({ address }: DaemonStatus): Promise<Finding> {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[(.*)\]$/, '$1');
  const failure = await new Promise<string | null>((resolve) => {
    const socket = connect({ host, port: Number(address.slice(at + 1)), timeout: CONNECT_MS_MAX });
    const end = (result: string | null) => {
      socket.destroy();
      resolve(result);
    };
    socket.once('connect', () => end(null));
    socket.once('timeout', () => end('no answer'));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
  if (failure === null) return good('peer port', `${address} answers from this computer`);
  const advice = 'Let it through the firewall, or tell peers another address with mt-peerd --announce HOST:PORT.';
  return bad('peer port', 'ADDRESS_IN_USE', `${address}: ${failure}`, advice);
}

/** Rights to fetch are tickets that hold for minutes: a clock that is far off makes seeders refuse them. */
export function checkClocks({ trackers, within_ms }: Clocks): Finding {
  const worst = trackers.reduce((a, b) => (Math.abs(b.ahead_ms) > Math.abs(a.ahead_ms) ? b : a));
  const off = formatDuration(Math.abs(worst.ahead_ms));
  if (Math.abs(worst.ahead_ms) <= CLOCK_AHEAD_MS_MAX) {
    const compared = `${trackers.length} ${trackers.length === 1 ? 'tracker' : 'trackers'}`;
    return good('clock', `within ${Math.abs(worst.ahead_ms) + within_ms} ms of ${compared}`);
  }
  const isEverywhere = trackers.every(({ ahead_ms }) => Math.abs(ahead_ms - worst.ahead_ms) <= CLOCK_AHEAD_MS_MAX);
  const whose = isEverywhere ? "this computer's clock" : `the clock of tracker ${worst.number}`;
  const isBehind = isEverywhere ? worst.ahead_ms > 0 : worst.ahead_ms < 0;
  const detail = `${whose} is ${off} ${isBehind ? 'slow' : 'fast'}`;
  return bad('clock', 'FORBIDDEN', detail, 'Set it, and let it be kept: timedatectl set-ntp true');
}

/** Dialled from a tracker, as a peer would. */
export function checkOutside({ address, tracker, verdict, why }: PortCheck): Finding {
  if (verdict === 'reachable') return good('from outside', `${address} answers the tracker at ${tracker}`);
  if (verdict === 'not_tried') return good('from outside', `not checked: ${why}`);
  const advice =
    verdict === 'somebody_else'
      ? 'Peers reach something else there: forward the port to this computer, or announce the right address with mt-peerd --announce HOST:PORT.'
      : 'Let the port through the firewall, or forward it and tell peers the way with mt-peerd --announce HOST:PORT. Until then others cannot fetch from you; you can from them.';
  return bad('from outside', 'NO_SEEDERS', `${address} from the tracker at ${tracker}: ${why}`, advice);
}

export function checkDisk({ data_dir }: DaemonStatus): Finding {
  const { bavail, bsize } = statfsSync(data_dir);
  const freeBytes = bavail * bsize;
  const detail = `${formatSize(freeBytes)} free at ${data_dir}`;
  if (freeBytes >= FREE_BYTES_MIN) return good('disk', detail);
  return bad('disk', 'DISK_FULL', detail, 'Make room: downloads pause when the disk is full.');
}

/** The daemon's own limit, as Linux tells it; elsewhere this check says that it cannot know. */
export function checkOpenFiles({ pid }: DaemonStatus): Finding {
  let limits: string;
  try {
    limits = readFileSync(`/proc/${pid}/limits`, 'utf8');
  } catch {
    return good('open files', 'not known on this system');
  }
  const soft = /^Max open files\s+(\S+)/m.exec(limits)?.[1] ?? 'unlimited';
  if (soft === 'unlimited' || Number(soft) >= OPEN_FILES_MIN) return good('open files', `limit ${soft}`);
  const advice = `Raise it before mt-peerd starts: ulimit -n ${OPEN_FILES_MIN * 4} (LimitNOFILE= under systemd).`;
  return bad('open files', 'PERMISSION', `limit ${soft}`, advice);
}

/** The key is who this daemon is: nobody else may read it. */
export function checkKeys({ data_dir }: DaemonStatus): Finding {
  const key = join(data_dir, 'identity.pem');
  const open = [data_dir, key].find((path) => (statSync(path).mode & 0o077) !== 0);
  if (open === undefined) return good('keys', `only you can read ${key}`);
  return bad('keys', 'PERMISSION', `others can read ${open}`, `chmod go-rwx ${open}`);
}

export function checkShares(shares: Shares): Finding {
  const spoilt = shares.filter(({ state }) => state === 'missing' || state === 'changed' || state === 'damaged');
  if (spoilt.length === 0) return good('shares', `${shares.length}, all there`);
  const names = spoilt.map(({ path, state }) => `${path} (${state})`).join(', ');
  return bad(
    'shares',
    'PATH_NOT_FOUND',
    names,
    'Put the files back, or say where they are: mt relocate <group_id> <file_name> <new_path>. Damaged ones are repaired from the group.',
  );
}

export function checkOutbox({ tracker }: DaemonStatus): Finding {
  if (tracker.outbox === 0) return good('waiting', 'nothing waits for the trackers');
  return bad(
    'waiting',
    'NO_QUORUM',
    `${tracker.outbox} things wait for the trackers`,
    'They follow once a quorum is back.',
  );
}
