// What a daemon asks about itself (`mt doctor`): the trackers' clocks, and whether its own port can be reached from elsewhere.
// The second makes a tracker dial, so it is kept from ever being somebody's port scanner: the session must be the caller's, the address is
// the one that it announces, it must be an address of the caller's own end of this connection, few are dialled at once and each caller
// seldom, and the answer is only whether the caller's own key answered.
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { isMtError, MtError } from '../../../codec/errors.ts';
import { fingerprintOf } from '../../../codec/identity.ts';
import { type Address, formatAddress } from '../../../codec/ids.ts';
import { addressGroup } from '../../../codec/service/admission.ts';
import { isLoopback } from '../../../codec/tracker-info.ts';
import type { DialVerdict } from '../../../codec/tracker-rpc.ts';
import { sessionInfo } from '../../state/lookups.ts';
import type { Handler, HandlerTable } from './context.ts';

/** A peer gives up about then, too. */
const DIAL_MS_MAX = 3_000;
const LOOKUP_MS_MAX = 1_000;
/** Of all callers together. */
const DIALS_AT_ONCE_MAX = 16;

let dialsUnderWay = 0;
/** A name server that is somebody's own may let one of them hang for long, and each holds one of libuv's four threads. */
let isLookingUp = false;

interface Verdict {
  readonly verdict: DialVerdict;
  readonly why: string | null;
}

const readClocks: Handler<'read_clocks'> = async (context) => {
  const others = await context.otherClocks();
  return { now: Date.now(), others };
};

const dialBack: Handler<'dial_back'> = async (context, { fingerprint, remote }, { session }) => {
  const info = sessionInfo(context.state(), { fingerprint, session });
  if (!info) throw new MtError('NOT_LOGGED_IN', 'This daemon is not logged in', 'Run: mt login <user_id>');
  const { address } = info;
  try {
    context.budgets.dialBacks.take(remote, performance.now());
  } catch (error) {
    if (!isMtError(error, 'OVERLOADED')) throw error;
    return { address, verdict: 'not_tried', why: `asked too often. ${error.suggestion}` };
  }
  if (dialsUnderWay >= DIALS_AT_ONCE_MAX) return { address, verdict: 'not_tried', why: 'the tracker is busy' };
  dialsUnderWay += 1;
  try {
    return { address, ...(await tryAddress(address, remote, fingerprint)) };
  } finally {
    dialsUnderWay -= 1;
  }
};

export const selfCheckHandlers: HandlerTable<'read_clocks' | 'dial_back'> = {
  read_clocks: readClocks,
  dial_back: dialBack,
};

/** @param remote the address group that the caller's connection comes from. */
export async function tryAddress(address: Address, remote: string, fingerprint: string): Promise<Verdict> {
  if (isLookingUp && !isIP(address.host)) return { verdict: 'not_tried', why: 'the tracker is busy' };
  const found = await resolve(address.host);
  if (found === null) return { verdict: 'unreachable', why: 'its name is not known here' };
  const own = found.find((ip) => addressGroup(ip) === remote || (isLoopback(ip) && isLoopback(remote)));
  if (own === undefined) {
    const why = `it is announced as ${formatAddress(address)}, but comes from ${remote}: only a peer there can tell`;
    return { verdict: 'not_tried', why };
  }
  return dial({ host: own, port: address.port }, fingerprint);
}

async function resolve(host: string): Promise<string[] | null> {
  if (isIP(host)) return [host];
  isLookingUp = true;
  const found = lookup(host, { all: true })
    .then((rows) => rows.map((row) => row.address))
    .finally(() => {
      isLookingUp = false;
    });
  return Promise.race([found.catch(() => null), sleep(LOOKUP_MS_MAX, null, { ref: false })]);
}

/** TLS as far as the other side's certificate: its key is the caller's, or it is not the caller. */
function dial({ host, port }: Address, fingerprint: string): Promise<Verdict> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, minVersion: 'TLSv1.3', rejectUnauthorized: false, timeout: DIAL_MS_MAX });
    const timer = setTimeout(() => end({ verdict: 'unreachable', why: 'no answer: a firewall?' }), DIAL_MS_MAX);
    const end = (verdict: Verdict): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(verdict);
    };
    let isConnected = false;
    socket.once('connect', () => {
      isConnected = true;
    });
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate();
      const isCaller = certificate !== undefined && fingerprintOf(certificate.publicKey) === fingerprint;
      end(isCaller ? { verdict: 'reachable', why: null } : SOMEBODY_ELSE);
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => {
      if (isConnected) return end(SOMEBODY_ELSE);
      end({ verdict: 'unreachable', why: code === 'ECONNREFUSED' ? 'nobody listens there' : (code ?? 'no way there') });
    });
  });
}

const SOMEBODY_ELSE: Verdict = { verdict: 'somebody_else', why: 'another program answers there' };
