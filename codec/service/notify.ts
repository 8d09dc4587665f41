// Tells systemd how a Type=notify service is, when it asked for it (NOTIFY_SOCKET; see sd_notify(3)). Node has no datagram Unix sockets,
// so systemd's own small program sends the line: it waits until systemd has read it, and needs NotifyAccess=all in the unit.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Logger } from 'pino';

const NOTIFY_MS_MAX = 5_000;
const run = promisify(execFile);

/** @param state lines such as READY=1, STOPPING=1, STATUS=…; nothing happens without systemd, and a failure is only logged. */
export async function notifySystemd(log: Logger, ...state: string[]): Promise<void> {
  if (!process.env.NOTIFY_SOCKET) return;
  try {
    await run('systemd-notify', [`--pid=${process.pid}`, ...state], { timeout: NOTIFY_MS_MAX });
  } catch (error) {
    log.warn({ err: error }, 'systemd could not be told how this service is');
  }
}
