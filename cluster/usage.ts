// mt-trackerd --help and --version.
import { SUBCOMMANDS } from './admin/table.ts';

export const VERSION = '0.1.0';

export function helpText(): string {
  const subcommands = Object.entries(SUBCOMMANDS).map(
    ([name, { usage, summary }]) => `  mt-trackerd ${name} ${usage}\n      ${summary}`,
  );
  return `Usage: mt-trackerd <tracker_info_file> <tracker_number> [options]
       mt-trackerd <subcommand> …   (write ./init for a file of that name)

Runs one tracker of a cluster in the foreground: logs to stderr, stops on SIGTERM, SIGINT or the line "quit".

Arguments:
  <tracker_info_file>    the trackers' addresses: tracker N is the Nth
  <tracker_number>       which of them this one is, from 1

Options:
  --data-dir DIR         its log and state (default: mini-torrent/tracker-N in the XDG state directory)
  --listen IP:PORT       where to listen, when it is not the address in the file
  --cluster-key FILE     the cluster's key (default: MT_CLUSTER_KEY, else mini-torrent/cluster.key in the XDG state directory)
  --log-level LEVEL      fatal, error, warn, info (default), debug, trace or silent
  --version, --help

Subcommands:
${subcommands.join('\n')}

Example: mt-trackerd tracker_info.txt 1
`;
}
