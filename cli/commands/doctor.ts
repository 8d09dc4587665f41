import { EXIT_OF, isMtError, type MtError } from '../../codec/errors.ts';
import { BaseCommand } from '../base-command.ts';
import * as checks from '../doctor/checks.ts';
import { DAEMON_ERRORS } from '../error-sets.ts';
import { harmless } from '../render/harmless.ts';
import { paint } from '../render/paint.ts';
import { socketPath } from '../socket-path.ts';

export default class Doctor extends BaseCommand {
  static override description = `Looks at everything that a working daemon needs: each line is well, or says what to do.

Checks the socket, versions, login, trackers, quorum, clocks, the peer port (from this computer, and from a tracker that is asked to dial it), disk space, open files, keys, and shares. Ends with the exit number of the first problem.`;
  static override examples = ['mt doctor', 'mt doctor --json'];
  static override errors = [
    ...DAEMON_ERRORS,
    'NOT_LOGGED_IN',
    'TRACKER_UNREACHABLE',
    'NO_QUORUM',
    'NO_SEEDERS',
    'FORBIDDEN',
    'PATH_NOT_FOUND',
    'DISK_FULL',
    'PERMISSION',
    'ADDRESS_IN_USE',
  ] as const;

  override async run(): Promise<void> {
    const { flags } = await this.parseLine(Doctor);
    const findings = await this.#examine(socketPath(flags.socket, process.env));
    const problem = findings.find(({ ok }) => !ok);
    this.exitNumber = problem?.code ? EXIT_OF[problem.code] : 0;
    this.answer({ checks: findings }, () => findings.map(line).join('\n'));
  }

  async #examine(socket: string): Promise<checks.Finding[]> {
    let status: checks.DaemonStatus;
    try {
      status = await this.ask('status', {});
    } catch (error) {
      return [failed('daemon', error)];
    }
    return [
      await attempt('socket', () => checks.checkSocket(socket)),
      await attempt('version', () => checks.checkVersion(status)),
      await attempt('login', () => checks.checkLogin(status)),
      await attempt('tracker', () => checks.checkTracker(status)),
      await attempt('quorum', async () => checks.checkQuorum(await this.ask('tracker_status', {}))),
      await attempt('waiting', () => checks.checkOutbox(status)),
      await attempt('peer port', () => checks.checkPort(status)),
      ...(status.tracker.connected ? await this.#askTracker(status) : []),
      await attempt('disk', () => checks.checkDisk(status)),
      await attempt('open files', () => checks.checkOpenFiles(status)),
      await attempt('keys', () => checks.checkKeys(status)),
      await attempt('shares', async () => checks.checkShares((await this.ask('show_shares', {})).shares)),
    ];
  }

  /** What only another computer can see. */
  async #askTracker({ user_id }: checks.DaemonStatus): Promise<checks.Finding[]> {
    return [
      ...(user_id === null
        ? [] // the tracker knows the address of those only who are logged in
        : [await attempt('from outside', async () => checks.checkOutside(await this.ask('check_port', {})))]),
      await attempt('clock', async () => checks.checkClocks(await this.ask('check_clocks', {}))),
    ];
  }
}

/** A check that cannot be made is a finding too. */
async function attempt(check: string, look: () => checks.Finding | Promise<checks.Finding>): Promise<checks.Finding> {
  try {
    return await look();
  } catch (error) {
    return failed(check, error);
  }
}

/** @throws what is no finding: Ctrl-C, and faults of our own */
function failed(check: string, error: unknown): checks.Finding {
  if (isMtError(error) && error.code !== 'INTERRUPTED') return ofError(check, error);
  const { code, path } = error as NodeJS.ErrnoException;
  if (code === undefined || path === undefined || isMtError(error)) throw error;
  return checks.bad(check, 'PERMISSION', `${path}: ${code}`, 'See that it is there and that you may read it.');
}

function ofError(check: string, { code, message, suggestion }: MtError): checks.Finding {
  return checks.bad(check, code, message, suggestion ?? 'See the log of mt-peerd.');
}

function line({ check, ok, detail, advice }: checks.Finding): string {
  const { green, red } = paint(process.stdout);
  const mark = ok ? green('ok  ') : red('BAD ');
  const first = `${mark}${check.padEnd(14)}${harmless(detail)}`;
  return advice === null ? first : `${first}\n                  ${harmless(advice)}`;
}
