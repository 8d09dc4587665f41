// Exactly-once: each client's replies are kept until it says that they arrived, so a repeated request gets its first reply and
// changes nothing (Raft thesis §6.3). The table is part of the state, so it survives failovers and snapshots. Bounded in every
// direction: clients in all, replies in all, replies of one client, idle time. Whoever fills it pays for it: room is made by those
// who are not logged in, then by the user who has most, so that nobody can crowd out another user's clients.
import { MtError } from '../../codec/errors.ts';
import { CLIENT_IDLE_MS, CLIENTS_MAX, EVICTED_SHARE, REPLIES_MAX, REPLIES_PER_CLIENT_MAX } from './limits.ts';
import { Client, StoredReply, type User } from './records.ts';
import type { State } from './state.ts';
import type { Transaction } from './transaction.ts';
import type { Command, Payloads, Reply, ResultOf } from './types.ts';

export function registerClient(
  tx: Transaction,
  { client_id }: Payloads['register_client'],
): ResultOf<'register_client'> {
  const { state } = tx;
  const fingerprint = tx.actor.fingerprint!;
  const known = state.clients.get(client_id);
  if (known !== undefined) {
    if (known.fingerprint === fingerprint) return { client_id };
    throw new MtError('PROTOCOL', 'This exactly-once client belongs to another daemon');
  }
  if (state.clients.size >= CLIENTS_MAX) makeRoom(state, CLIENTS_MAX / EVICTED_SHARE, () => 1);
  state.addClient(new Client(client_id, fingerprint, tx.index, tx.now));
  return { client_id };
}

/** By logged time, so every node forgets the same ones at the same entry. */
export function forgetIdleClients(state: State): void {
  for (;;) {
    const { oldest } = state.clientsByUse;
    if (oldest === null || state.now - oldest.usedAt <= CLIENT_IDLE_MS) return;
    state.removeClient(oldest);
  }
}

/** What to do with a request: run it for this client, or answer at once. */
export type Admission =
  | { readonly client: Client }
  | { readonly client: null; readonly reply: Reply; readonly repeated: boolean };

export function admit(state: State, command: Command): Admission {
  const client = state.clients.get(command.clientId!);
  if (client === undefined || client.fingerprint !== command.actor.fingerprint) {
    return refuse(
      'CLIENT_EXPIRED',
      'This exactly-once client has ended; whether an earlier try of the command took effect is unknown',
    );
  }
  state.useClient(client, command.acked);
  const stored = client.replies.get(command.seq);
  if (stored !== undefined) return { client: null, reply: JSON.parse(stored.json) as Reply, repeated: true };
  if (command.seq < client.acked) {
    return refuse('PROTOCOL', `Request ${command.seq} was acknowledged before; its reply is forgotten`);
  }
  if (client.replies.size >= REPLIES_PER_CLIENT_MAX) {
    return refuse('OVERLOADED', `More than ${REPLIES_PER_CLIENT_MAX} requests of one client are unacknowledged`);
  }
  return { client };
}

export function remember(state: State, client: Client, seq: number, reply: Reply): void {
  state.addReply(new StoredReply(client, seq, JSON.stringify(reply)));
  if (state.replyCount > REPLIES_MAX) makeRoom(state, REPLIES_MAX / EVICTED_SHARE, ({ replies }) => replies.size);
}

/**
 * Ends clients until `wanted` of what fills the table is free: of daemons without a session first, then of the user who holds most,
 * the least recently used first. Takes a good part at once, since it looks at the whole table.
 */
function makeRoom(state: State, wanted: number, weightOf: (client: Client) => number): void {
  const strangers: Client[] = [];
  const byUser = new Map<User, { weight: number; clients: Client[] }>();
  for (const client of state.clientsByUse.values()) {
    const weight = weightOf(client);
    if (weight === 0) continue;
    const user = state.sessionsByFingerprint.get(client.fingerprint)?.daemon.user;
    if (user === undefined) {
      strangers.push(client);
      continue;
    }
    const held = byUser.get(user) ?? { weight: 0, clients: [] };
    byUser.set(user, held);
    held.weight += weight;
    held.clients.push(client);
  }
  let freed = 0;
  const end = (client: Client): void => {
    freed += weightOf(client);
    state.removeClient(client);
  };
  for (const client of strangers) {
    if (freed >= wanted) return;
    end(client);
  }
  if (freed > 0) return;
  let most = { weight: 0, clients: [] as Client[] };
  for (const held of byUser.values()) if (held.weight > most.weight) most = held;
  // Half of it at most: who has a little more than others does not lose all.
  const fair = Math.min(wanted, Math.ceil(most.weight / 2));
  for (const client of most.clients) {
    if (freed >= fair) return;
    end(client);
  }
}

function refuse(code: 'CLIENT_EXPIRED' | 'PROTOCOL' | 'OVERLOADED', message: string): Admission {
  return { client: null, reply: { ok: false, error: { code, message } }, repeated: false };
}
