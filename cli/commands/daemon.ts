import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { isMtError } from '../../codec/errors.ts';
import { BaseCommand } from '../base-command.ts';
import { startDaemon, stopDaemon } from '../daemon-process.ts';
import { DAEMON_ERRORS } from '../error-sets.ts';
import { facts } from '../render/table.ts';
import { formatDuration } from '../render/units.ts';
import { socketPath } from '../socket-path.ts';

export default class Daemon extends BaseCommand {
  static override description =
    `Starts and stops this user's daemon, or says how it is, for those who do not leave that to systemd.

start runs mt-peerd in the background and returns when it is ready. Where the configuration file of mt-peerd sets address and tracker-info, it needs no arguments. stop ends it cleanly: running downloads go on at the next start.`;
  static override examples = [
    'mt daemon start 192.0.2.7:18000 trackers.txt',
    'mt daemon status',
    'mt daemon stop',
    { description: 'With everything in a file:', command: 'mt daemon start --config ~/peerd.toml' },
  ];
  static override args = {
    action: Args.string({ required: true, options: ['start', 'stop', 'status'], description: 'What to do' }),
    address: Args.string({ description: 'Where other peers reach this daemon, as ip:port (start)' }),
    tracker_info_file: Args.string({ description: "The trackers' addresses (start)" }),
  };
  static override flags = {
    config: Flags.string({ description: 'Configuration file of mt-peerd (start)', helpValue: 'FILE' }),
    'data-dir': Flags.string({ description: "The daemon's data directory (start)", helpValue: 'DIR' }),
  };
  static override errors = [
    ...DAEMON_ERRORS,
    'INVALID_TRACKER_INFO',
    'UNTRUSTED_CLUSTER',
    'PERMISSION',
    'ADDRESS_IN_USE',
    'DATA_DIR_LOCKED',
    'TIMEOUT',
  ] as const;

  override async run(): Promise<void> {
    const { args, flags } = await this.parseLine(Daemon);
    const socket = socketPath(flags.socket, process.env);
    if (args.action === 'status') return this.#status();
    const running = await this.#runningPid();
    if (args.action === 'stop') {
      if (running === null) return this.done({ stopped: null }, `No daemon runs at ${socket}.`);
      await stopDaemon(running, this.timeoutMs);
      return this.done({ stopped: running }, `Stopped mt-peerd (process ${running}).`);
    }
    if (running !== null) return this.done({ pid: running, socket }, `mt-peerd runs already (process ${running}).`);
    const options = Object.entries({ config: flags.config, 'data-dir': flags['data-dir'], socket: flags.socket });
    const words = [args.address, args.tracker_info_file, ...options.flatMap(([k, v]) => (v ? [`--${k}`, v] : []))];
    const started = await startDaemon(words.filter((word) => word !== undefined));
    this.done({ pid: started.pid, socket: started.socket }, started.text);
  }

  async #status(): Promise<void> {
    const { pid, version, uptime_ms, socket, data_dir } = await this.ask('status', {});
    this.answer({ pid, version, uptime_ms, socket, data_dir }, () =>
      facts([
        ['daemon', `${version}, pid ${pid}, up ${formatDuration(uptime_ms)}`],
        ['socket', socket],
        ['data', data_dir],
      ]),
    );
  }

  /** Null: no daemon answers. */
  async #runningPid(): Promise<number | null> {
    try {
      return (await this.ask('status', {})).pid;
    } catch (error) {
      if (isMtError(error, 'DAEMON_UNREACHABLE')) return null;
      throw error;
    }
  }
}
