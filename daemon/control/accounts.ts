// Control methods about accounts and sessions.
import type { ControlApi } from '../../codec/control-api.ts';
import { formatAddress } from '../../codec/ids.ts';
import type { Handlers } from '../../codec/rpc.ts';
import { type ControlContext, waitOf } from './context.ts';

type Methods = 'create_user' | 'login' | 'logout' | 'change_password' | 'whoami' | 'list_sessions' | 'revoke_session';

export function accountHandlers({ client, session }: ControlContext): Pick<Handlers<ControlApi>, Methods> {
  return {
    create_user: ({ user_id, password, ...rest }) => client.command('create_user', { user_id, password }, waitOf(rest)),
    login: async ({ user_id, password, timeout_ms }) => {
      await session.login(user_id, password, timeout_ms);
      return {};
    },
    logout: async ({ timeout_ms }) => {
      await session.logout(timeout_ms);
      return {};
    },
    change_password: ({ old_password, new_password, ...rest }) =>
      client.command('change_password', { old_password, new_password }, waitOf(rest)),
    whoami: () => ({ user_id: session.userId }),
    list_sessions: async (params, { signal }) => {
      const rows = await client.listAll('list_sessions', {}, waitOf(params, signal));
      return {
        sessions: rows.map(({ session: token, fingerprint, address, online, since }) => ({
          session: token,
          this_daemon: fingerprint === client.identity.fingerprint,
          address: address && formatAddress(address),
          online,
          since,
        })),
      };
    },
    revoke_session: ({ session: target, ...rest }) => client.command('revoke_session', { target }, waitOf(rest)),
  };
}
