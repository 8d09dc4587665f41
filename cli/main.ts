// `mt`: wires the words, signals and broken pipes to the runner. Does nothing else.
import { runWords } from './run.ts';

const interrupt = new AbortController();
process.once('SIGINT', () => interrupt.abort());
// Ends as after Ctrl-C, with the terminal as it was (a progress bar hides the cursor), and then of the signal, as the sender expects.
let endedBy: NodeJS.Signals | null = null;
for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    endedBy = signal;
    interrupt.abort();
  });
}
// Nobody reads on (`mt list_files lab | head -1`): that is no error of ours.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
}

runWords(process.argv.slice(2), interrupt.signal).then((exit) => {
  process.exitCode = exit;
  if (endedBy) process.kill(process.pid, endedBy);
});
