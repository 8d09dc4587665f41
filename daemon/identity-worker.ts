// A process of its own that makes a daemon's key and certificate, writes both to stdout and ends. The library for it takes 11 MiB, which
// the daemon would keep for as long as it runs, for what it needs once in its life; a thread would leave half of that behind.
import { makeDaemonIdentity } from '../codec/identity.ts';

const { keyPem, certPem } = await makeDaemonIdentity(Date.now());
process.stdout.write(`${keyPem.trim()}\n${certPem.trim()}\n`);
