// mt-trackerd: arguments, key, lock, log, tracker, stop. Wires and does nothing else.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { MtError, toMtError } from '../codec/errors.ts';
import { formatAddress } from '../codec/ids.ts';
import { parseTrackerInfo, type TrackerInfo } from '../codec/tracker-info.ts';
import { SUBCOMMANDS } from './admin/table.ts';
import { parseTrackerArguments, type TrackerArguments } from './arguments.ts';
import { fileError, loadClusterKey } from './cluster-key.ts';
import { lockDataDir } from './data-dir.ts';
import { Supervisor } from './supervisor.ts';
import { isForeground } from './terminal.ts';
import { helpText, VERSION } from './usage.ts';

/** A stop that takes longer than this is not clean any more, but it ends. */
const STOP_MS_MAX = 5_000;

async function main(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const [first, ...rest] = argv;
  if (first === '--help' || first === '-h') return void process.stdout.write(helpText());
  if (first === '--version') return void process.stdout.write(`mt-trackerd ${VERSION}\n`);
  const subcommand = first !== undefined && Object.hasOwn(SUBCOMMANDS, first) ? SUBCOMMANDS[first]! : null;
  if (subcommand) await subcommand.run(rest, env);
  else await runTracker(parseTrackerArguments(argv, env));
}

async function runTracker(args: TrackerArguments): Promise<void> {
  const info = readTrackerInfo(args);
  const address = info.addresses[args.number - 1];
  if (!address) {
    const count = info.addresses.length;
    throw new MtError(
      'INVALID_ARGUMENT',
      `${args.trackerInfoShown} names ${count} ${count === 1 ? 'tracker' : 'trackers'}; there is no number ${args.number}`,
    );
  }
  const key = loadClusterKey(args.clusterKey, info, args.dataDir);
  const unlock = lockDataDir(args, info.addresses.length);
  const log = pino(
    { level: args.logLevel, base: { tracker: args.number } },
    pino.destination({ dest: process.stderr.fd, sync: true }),
  );
  const fatal = (error: unknown) => {
    log.fatal({ err: error }, 'the tracker cannot go on');
    process.exit(1);
  };
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
  const { addresses } = info;
  const listen = args.listen ?? address;
  const supervisor = new Supervisor({ ...args, addresses, listen, key, log, onFatal: fatal });
  stopWhenAsked(async () => {
    await supervisor.stop();
    unlock();
  });
  const tracker = await supervisor.start();
  process.stdout.write(`mt-trackerd ${args.number} ready on ${formatAddress(tracker.address)}\n`);
}

function readTrackerInfo({ trackerInfoFile, trackerInfoShown }: TrackerArguments): TrackerInfo {
  let text: string;
  try {
    text = readFileSync(trackerInfoFile, 'utf8');
  } catch (cause) {
    throw fileError(`The tracker info file ${trackerInfoShown} cannot be read`, cause);
  }
  return parseTrackerInfo(text, trackerInfoShown);
}

/** SIGTERM, SIGINT, or the line `quit` at the terminal. End of file on stdin means nothing. */
function stopWhenAsked(stop: () => Promise<void>): void {
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
  if (!isForeground()) return; // reading a terminal from the background would suspend us
  process.stdin.on('error', () => {});
  createInterface({ input: process.stdin }).on('line', (line) => {
    if (line.trim() === 'quit') onStop();
  });
}

main(process.argv.slice(2), process.env).catch((error: unknown) => {
  const { message, suggestion, exit, code, cause } = toMtError(error);
  process.stderr.write(`mt-trackerd: ${message}\n${suggestion ? `${suggestion}\n` : ''}`);
  if (code === 'INTERNAL') console.error(cause);
  process.exit(exit);
});
