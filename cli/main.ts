// `mt`: wires the words, Ctrl-C and broken pipes to the runner. Does nothing else.
import { runWords } from './run.ts';

const interrupt = new AbortController();
process.once('SIGINT', () => interrupt.abort());
// Nobody reads on (`mt list_files lab | head -1`): that is no error of ours.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    throw error;
  });
}

runWords(process.argv.slice(2), interrupt.signal).then((exit) => {
  process.exitCode = exit;
});
