// mt-peerd: reads the command line, starts the daemon, stops it on a signal. What it is made of is wired in daemon.ts.
import { pino } from 'pino';
import { toMtError } from '../codec/errors.ts';
import { formatAddress } from '../codec/ids.ts';
import { parseArguments, USAGE } from './arguments.ts';
import { startDaemon, VERSION } from './daemon.ts';

/** A clean stop takes milliseconds; a disk that hangs may not keep us. */
const STOP_MS_MAX = 5_000;

async function main(): Promise<void> {
  const args = parseArguments(process.argv.slice(2), process.env);
  if (args.help) return void process.stdout.write(`${USAGE}\n`);
  if (args.version) return void process.stdout.write(`mt-peerd ${VERSION}\n`);
  const log = pino({ level: args.logLevel, base: null }, pino.destination({ dest: process.stderr.fd, sync: true }));
  const fatal = (error: unknown) => {
    log.fatal({ err: error }, 'mt-peerd cannot go on');
    process.exit(1);
  };
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', fatal);
  const daemon = await startDaemon(args, log);
  let isStopping = false;
  const stop = () => {
    if (isStopping) return;
    isStopping = true;
    setTimeout(() => process.exit(1), STOP_MS_MAX).unref();
    daemon.close().then(() => process.exit(0), fatal);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.stdout.write(`mt-peerd ready on ${formatAddress(daemon.address)}, socket ${daemon.socket}\n`);
}

main().catch((error: unknown) => {
  const { message, suggestion, exit, code, cause } = toMtError(error);
  process.stderr.write(`mt-peerd: ${message}\n${suggestion ? `${suggestion}\n` : ''}`);
  if (code === 'INTERNAL' && cause) console.error(cause);
  process.exit(exit);
});
