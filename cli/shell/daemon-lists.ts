// The lists that completion offers, asked of the daemon while somebody holds the Tab key: quick, and silent when it cannot answer.

import type { ControlApi } from '../../codec/control-api.ts';
import type { Params, Result } from '../../codec/rpc.ts';
import { ControlClient, type ControlMethod } from '../control-client.ts';
import type { Lists } from './candidates.ts';

/** Longer, and the user has typed the word. */
const ANSWER_MS = 1_500;

export function daemonLists(socket: string): Lists {
  return {
    groups: async () => (await ask(socket, 'list_groups', {}))?.groups.map((row) => row.group_id) ?? [],
    members: async (group_id) =>
      (await ask(socket, 'list_members', { group_id }))?.members.map((row) => row.user_id) ?? [],
    requests: async (group_id) =>
      (await ask(socket, 'list_requests', { group_id }))?.requests.map((row) => row.user_id) ?? [],
    files: async (group_id) => (await ask(socket, 'list_files', { group_id }))?.files.map((row) => row.file_name) ?? [],
    downloads: async () => (await ask(socket, 'show_downloads', {}))?.downloads ?? [],
    shares: async () => (await ask(socket, 'show_shares', {}))?.shares ?? [],
    sessions: async () => (await ask(socket, 'list_sessions', {}))?.sessions.map((row) => row.session) ?? [],
  };
}

async function ask<M extends ControlMethod>(
  socket: string,
  method: M,
  params: Params<ControlApi, M>,
): Promise<Result<ControlApi, M> | null> {
  const options = { signal: AbortSignal.timeout(ANSWER_MS), timeoutMs: ANSWER_MS };
  let client: ControlClient | null = null;
  try {
    client = await ControlClient.open(socket, options);
    return await client.call(method, params, options);
  } catch {
    return null; // no daemon, nobody logged in, no such group: there is nothing to offer
  } finally {
    client?.close();
  }
}
