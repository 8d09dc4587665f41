// mt-trackerd: arguments, key, lock, log, tracker, stop. Wires and does nothing else.
import { createInterface } from 'node:readline';
import type { Logger } from 'pino';
import { MtError, toMtError } from '../codec/errors.ts';
import { formatAddress } from '../codec/ids.ts';
import { createLog } from '../codec/service/log.ts';
import { notifySystemd } from '../codec/service/notify.ts';
import { boundYoungGeneration } from '../codec/service/young-generation.ts';
import { SUBCOMMANDS } from './admin/table.ts';
import { parseTrackerArguments, type TrackerArguments } from './arguments.ts';
import { loadClusterKey } from './cluster-key.ts';
import { lockDataDir } from './data-dir.ts';
import { monitorTracker } from './metrics.ts';
import { UnknownCommandError } from './state/commands.ts';
import { Supervisor } from './supervisor.ts';
import { isForeground } from './terminal.ts';
import { readTrackerInfo } from './tracker-info-file.ts';
import { helpText, subcommandHelp, VERSION } from './usage.ts';

/** A stop that takes longer than this is not clean any more, but it ends. */
const STOP_MS_MAX = 5_000;

/** More saves no time in collection under load. */
const YOUNG_GENERATION_MIB = 8;

async function main(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const [first, ...rest] = argv;
  if (first === '--help' || first === '-h') return void process.stdout.write(helpText());
  if (first === '--version') return void process.stdout.write(`mt-trackerd ${VERSION}\n`);
  const subcommand = first !== undefined && Object.hasOwn(SUBCOMMANDS, first) ? SUBCOMMANDS[first]! : null;
  if (subcommand) endWithReader();
  if (subcommand && rest.some((word) => word === '--help' || word === '-h')) {
    process.stdout.write(subcommandHelp(first!));
  } else if (subcommand) await subcommand.run(rest, env);
  else await runOrShow(parseTrackerArguments(argv, env));
}

/** `mt-trackerd events | head`: whoever read has seen enough. */
function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
}

async function runOrShow(args: TrackerArguments): Promise<void> {
  if (args.config !== null) process.stdout.write(args.config);
  else await runTracker(args);
}

async function runTracker(args: TrackerArguments): Promise<void> {
  const onLoading = boundYoungGeneration(YOUNG_GENERATION_MIB);
  const info = readTrackerInfo(args.trackerInfoFile, args.trackerInfoShown);
  const listen = args.listen ?? info.addresses[args.number - 1];
  if (!listen) {
    const count = info.addresses.length;
    throw new MtError(
      'INVALID_ARGUMENT',
      `${args.trackerInfoShown} names ${count} ${count === 1 ? 'tracker' : 'trackers'}; there is no number ${args.number}`,
      'A tracker that was added later says where it listens: --listen IP:PORT',
    );
  }
  const key = loadClusterKey(args.clusterKey, info, args.dataDir);
  const unlock = lockDataDir(args, info.addresses.length);
  const log = createLog(args.logLevel, { tracker: args.number });
  const fatal = (error: unknown) => {
    log.fatal({ err: error }, 'the tracker cannot go on');
    process.exit(1);
  };
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
  const { addresses } = info;
  const onRemoved = () => {
    log.warn('this tracker was removed from its cluster: it stops');
    stop();
  };
  const supervisor = new Supervisor({ ...args, addresses, listen, key, log, onLoading, onFatal: fatal, onRemoved });
  const monitor = args.metricsPort === null ? null : await monitorTracker(args.metricsPort, supervisor);
  if (monitor) log.info({ port: monitor.port }, 'metrics are served on loopback');
  const stop = stopWhenAsked(async () => {
    await Promise.all([notifySystemd(log, 'STOPPING=1'), supervisor.stop(), monitor?.close()]);
    unlock();
  });
  process.on('SIGHUP', () => reload(log));
  const tracker = await supervisor.start();
  process.stdout.write(`mt-trackerd ${args.number} ready on ${formatAddress(tracker.address)}\n`);
  await notifySystemd(log, 'READY=1');
}

/** The log level holds from now on; what else changed needs a restart. */
function reload(log: Logger): void {
  try {
    const { logLevel } = parseTrackerArguments(process.argv.slice(2), process.env);
    log.level = logLevel;
    log.info({ logLevel }, 'the log level was read again');
  } catch (error) {
    const { code, message } = toMtError(error);
    log.error({ code, why: message }, 'the configuration cannot be read: all stays as it was');
  }
}

/**
 * SIGTERM, SIGINT, or the line `quit` at the terminal. End of file on stdin means nothing.
 * @returns what stops it as if asked.
 */
function stopWhenAsked(stop: () => Promise<void>): () => void {
  let stopping = false;
  const onStop = () => {
    if (stopping) return;
    stopping = true;
    setTimeout(() => process.exit(1), STOP_MS_MAX).unref();
    stop().then(
      () => process.exit(0),
      (error) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', onStop);
  process.on('SIGINT', onStop);
  if (!isForeground()) return onStop; // reading a terminal from the background would suspend us
  process.stdin.on('error', () => {});
  createInterface({ input: process.stdin }).on('line', (line) => {
    if (line.trim() === 'quit') onStop();
  });
  return onStop;
}

main(process.argv.slice(2), process.env).catch((problem: unknown) => {
  const error =
    problem instanceof UnknownCommandError ? new MtError('PROTOCOL_VERSION', `The log: ${problem.message}`) : problem;
  const { message, suggestion, exit, code, cause } = toMtError(error);
  process.stderr.write(`mt-trackerd: ${message}\n${suggestion ? `${suggestion}\n` : ''}`);
  if (code === 'INTERNAL') console.error(cause);
  process.exit(exit);
});
