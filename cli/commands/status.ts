import type { ControlApi } from '../../codec/control-api.ts';
import type { Result } from '../../codec/rpc.ts';
import { BaseCommand } from '../base-command.ts';
import { DAEMON_ERRORS } from '../error-sets.ts';
import { facts } from '../render/table.ts';
import { formatDuration, formatRate } from '../render/units.ts';
import { VERSION } from '../version.ts';

type Answer = Result<ControlApi, 'status'>;

export default class Status extends BaseCommand {
  static override description =
    'Shows how this daemon is: who is logged in, its link to the trackers and their leader, shares, transfers. Works without trackers.';
  static override examples = ['mt status', 'mt status --json'];
  static override errors = DAEMON_ERRORS;

  override async run(): Promise<void> {
    await this.parseLine(Status);
    const status = await this.ask('status', {});
    if (status.version !== VERSION) {
      this.warning(`this mt is ${VERSION}, the daemon ${status.version}. Restart mt-peerd to run one version of both.`);
    }
    this.answer(status, () => facts(rows(status)));
  }
}

function rows(status: Answer): [string, string][] {
  const { tracker, downloads } = status;
  const lines: [string, string][] = [
    ['user', status.user_id ?? '(nobody is logged in)'],
    ['daemon', `${status.version}, pid ${status.pid}, up ${formatDuration(status.uptime_ms)}`],
    ['peers reach it at', status.address],
    ['fingerprint', status.fingerprint],
    ['socket', status.socket],
    ['data', status.data_dir],
    ['tracker', `${tracker.address ?? '(none)'}, ${tracker.connected ? 'connected' : 'not connected'}`],
    ['leader', tracker.leader === null ? '(not known)' : `tracker ${tracker.leader}`],
  ];
  if (tracker.error) lines.push(['tracker error', `${tracker.error.code}: ${tracker.error.message}`]);
  if (tracker.outbox > 0) lines.push(['waits for trackers', `${tracker.outbox}`]);
  lines.push(
    ['shares', String(status.shares)],
    [
      'downloads',
      `${downloads.downloading} downloading, ${downloads.complete} complete, ${downloads.failed} failed, ${downloads.paused} paused`,
    ],
    ['rates', `${formatRate(status.upload_rate)} up, ${formatRate(status.download_rate)} down`],
  );
  return lines;
}
