// Exactly-once: each client's replies are kept until it says that they arrived, so a repeated request gets its first reply and
// changes nothing (Raft thesis §6.3). The table is part of the state, so it survives failovers and snapshots. Bounded in every
// direction: clients in all, replies in all, replies of one client, idle time.
import { MtError } from '../../codec/errors.ts';
import { CLIENT_IDLE_MS, CLIENTS_MAX, REPLIES_MAX, REPLIES_PER_CLIENT_MAX } from './limits.ts';
import { Client, StoredReply } from './records.ts';
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
  while (state.clients.size >= CLIENTS_MAX) state.removeClient(state.clientsByUse.oldest!);
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
  // The one that has just spoken is the newest, and alone it stays below the limit.
  while (state.replyCount > REPLIES_MAX) state.removeClient(state.clientsByUse.oldest!);
}

function refuse(code: 'CLIENT_EXPIRED' | 'PROTOCOL' | 'OVERLOADED', message: string): Admission {
  return { client: null, reply: { ok: false, error: { code, message } }, repeated: false };
}
