// The load generator for etcd, as tracker-load.ts is the trackers': the same loop, the same number of connections to the leader.
// Started with one JSON argument; prints one JSON line.
import { randomBytes } from 'node:crypto';
import { closedLoop, type LoopOptions } from './closed-loop.ts';
import { dialEtcd, etcdCall, PUT, putRequest, RANGE, rangeRequest } from './etcd-client.ts';
import { CONNECTIONS_MAX } from './tracker-load.ts';

export interface EtcdLoad extends LoopOptions {
  readonly url: string;
  readonly operation: 'put' | 'range';
  readonly callers: number;
}

const VALUE_SIZE = 256;
const KEYS_WRITTEN = 100_000;
const KEYS_READ = 10_000;
const CALL_MS = 10_000;

const options = JSON.parse(process.argv[2]!) as EtcdLoad;
const sessions = await Promise.all(
  Array.from({ length: Math.min(options.callers, CONNECTIONS_MAX) }, () => dialEtcd(options.url)),
);
const value = randomBytes(VALUE_SIZE);
let counter = 0;
const key = (number: number) => `k${String(number).padStart(8, '0')}`;
const once = (caller: number): Promise<unknown> => {
  const session = sessions[caller % sessions.length]!;
  counter += 1;
  if (options.operation === 'put')
    return etcdCall(session, PUT, putRequest(key(counter % KEYS_WRITTEN), value), CALL_MS);
  return etcdCall(session, RANGE, rangeRequest(key(Math.floor(Math.random() * KEYS_READ))), CALL_MS);
};
const callers = Array.from({ length: options.callers }, (_, i) => i);
console.log(JSON.stringify(await closedLoop(callers, once, options)));
process.exit(0);
