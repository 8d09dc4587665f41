// mt-trackerd --help and --version.
import packageJson from '../package.json' with { type: 'json' };
import { SUBCOMMANDS } from './admin/table.ts';

export const VERSION: string = packageJson.version;

/** @param name of the table. */
export function subcommandHelp(name: string): string {
  const { usage, summary } = SUBCOMMANDS[name]!;
  return `Usage: mt-trackerd ${name} ${usage}\n\n${summary}\n\nAll subcommands: mt-trackerd --help\n`;
}

export function helpText(): string {
  const subcommands = Object.entries(SUBCOMMANDS).map(
    ([name, { usage, summary }]) => `  mt-trackerd ${name} ${usage}\n      ${summary}`,
  );
  return `Usage: mt-trackerd <tracker_info_file> <tracker_number> [options]
       mt-trackerd [options]        (tracker-info and tracker-number from the configuration file)
       mt-trackerd <subcommand> …   (write ./init for a file of that name)

Runs one tracker of a cluster in the foreground: logs to stderr, stops on SIGTERM, SIGINT or the line "quit".

Arguments:
  <tracker_info_file>    the trackers' addresses: tracker N is the Nth
  <tracker_number>       which of them this one is, from 1

Options:
  --data-dir DIR         its log and state (default: mini-torrent/tracker-N in the XDG state directory)
  --listen IP:PORT       where to listen, when it is not the address in the file
  --cluster-key FILE     the cluster's key (default: MT_CLUSTER_KEY, else mini-torrent/cluster.key in the XDG state directory)
  --max-connections N    connections at once in all (default: 16384)
  --max-connections-per-address N
                         of them from one address (default: 2048)
  --retain-events N      keep at least the last N entries of the past (default: all of it)
  --log-level LEVEL      fatal, error, warn, info (default), debug, trace or silent
  --metrics-port PORT    serve /metrics, /healthz and /readyz on 127.0.0.1 (0: any free port; default: not at all)
  --config FILE          TOML: options as above, and tracker-info, tracker-number (default: MT_TRACKERD_CONFIG,
                         else mini-torrent/mt-trackerd.toml in the XDG configuration directory, if it is there)
  --print-config         show what holds, and from where, and end
  --version, --help

Flags stand over the environment (MT_TRACKERD_DATA_DIR for --data-dir, and so on), which stands over the file.
SIGHUP reads the log level again.

Subcommands:
${subcommands.join('\n')}

Example: mt-trackerd tracker_info.txt 1
`;
}
