// The worker thread for received pieces: does the jobs of disk/piece-jobs.ts in the order in which they come, and answers each.
import { readSync, writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { type PieceJob, PieceJobs } from './piece-jobs.ts';
import { yieldToMain } from './thread-priority.ts';

const port = parentPort!;
const jobs = new PieceJobs(workerData as SharedArrayBuffer, {
  readSize: 1024 * 1024,
  read: (fd, into, size, position) => readSync(fd, into, 0, size, position),
  write: (fd, bytes, position) => writeSync(fd, bytes, 0, bytes.length, position),
});

yieldToMain();
// Nothing in a job waits for an event here, so that it is over before the next message comes.
port.on('message', async (job: PieceJob) => port.postMessage(await jobs.answer(job)));
