// mt-peerd: reads the command line, starts the daemon, stops it on a signal. What it is made of is wired in daemon.ts.
import type { Logger } from 'pino';
import { toMtError } from '../codec/errors.ts';
import { formatAddress } from '../codec/ids.ts';
import { createLog } from '../codec/service/log.ts';
import { notifySystemd } from '../codec/service/notify.ts';
import { type DaemonArguments, parseArguments, USAGE } from './arguments.ts';
import { limitsAtStart } from './control/transfers.ts';
import { type RunningDaemon, startDaemon, VERSION } from './daemon.ts';
import { detach } from './detach.ts';
import { monitorDaemon } from './metrics.ts';

/** A clean stop takes milliseconds; a disk that hangs may not keep us. */
const STOP_MS_MAX = 5_000;

async function main(): Promise<void> {
  const args = parseArguments(process.argv.slice(2), process.env);
  if (args.help) return void process.stdout.write(`${USAGE}\n`);
  if (args.version) return void process.stdout.write(`mt-peerd ${VERSION}\n`);
  if (args.config !== null) return void process.stdout.write(args.config);
  if (args.detach) return detach(args.dataDir);
  await run(args);
}

async function run(args: DaemonArguments): Promise<void> {
  const log = createLog(args.logLevel, {});
  const fatal = (error: unknown) => {
    log.fatal({ err: error }, 'mt-peerd cannot go on');
    process.exit(1);
  };
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
  const daemon = await startDaemon(args, log);
  const monitor = await monitorIfAsked(args, daemon);
  let isStopping = false;
  const stop = async () => {
    if (isStopping) return;
    isStopping = true;
    setTimeout(() => process.exit(1), STOP_MS_MAX).unref();
    await Promise.all([notifySystemd(log, 'STOPPING=1'), monitor?.close(), daemon.close()]);
    process.exit(0);
  };
  process.on('SIGTERM', () => void stop().catch(fatal));
  process.on('SIGINT', () => void stop().catch(fatal));
  process.on('SIGHUP', () => reload(daemon, log));
  if (monitor) log.info({ port: monitor.port }, 'metrics are served on loopback');
  process.stdout.write(`mt-peerd ready on ${formatAddress(daemon.address)}, socket ${daemon.socket}\n`);
  await notifySystemd(log, 'READY=1');
}

/** Null without --metrics-port. A port that cannot be had ends the daemon as it ends itself: the trackers hear of it. */
async function monitorIfAsked({ metricsPort }: DaemonArguments, daemon: RunningDaemon) {
  if (metricsPort === null) return null;
  try {
    return await monitorDaemon(metricsPort, daemon.context);
  } catch (error) {
    await daemon.close();
    throw error;
  }
}

/** Limits and log level hold from now on; what else changed needs a restart. */
function reload({ context }: RunningDaemon, log: Logger): void {
  try {
    const { logLevel, uploadLimit, downloadLimit, scrub } = parseArguments(process.argv.slice(2), process.env);
    log.level = logLevel;
    const limits = limitsAtStart(context.settings, { up: uploadLimit, down: downloadLimit });
    context.dataPlane.limits(limits);
    context.keeper.configure(scrub);
    log.info({ logLevel, ...limits }, 'limits and log level were read again');
  } catch (error) {
    const { code, message } = toMtError(error);
    log.error({ code, why: message }, 'the configuration cannot be read: all stays as it was');
  }
}

main().catch((error: unknown) => {
  const failure = toMtError(error);
  const { message, suggestion, exit, code, cause } = failure;
  if (code === 'INTERNAL' && cause) console.error(cause);
  const sentence = `mt-peerd: ${message}\n${suggestion ? `${suggestion}\n` : ''}`;
  // `mt daemon start` passes on the error as it is.
  process.stderr.write(
    process.env.MT_ERRORS === 'json' ? `${JSON.stringify({ error: failure.toWire() })}\n` : sentence,
  );
  process.exit(exit);
});
