// One command of every type, in an order in which most of them succeed: for round trips and for the golden file.
import type { Command, CommandType, Payloads } from '../../cluster/state/types.ts';
import { contentOf, fingerprintOf, passwordOf, START_MS, tokenOf } from './world.ts';

const CLIENT = tokenOf('client');
const SESSION = tokenOf('session');
const FINGERPRINT = fingerprintOf('daemon');
const ADDRESS = { host: '192.0.2.7', port: 18_000 };
const G = { group_id: 'group-1' };
const F = { ...G, file_name: 'Größe 1.bin' };
const content = contentOf('golden');
const { manifest_hash } = content;

const PAYLOADS: Payloads = {
  register_client: { client_id: CLIENT },
  create_user: { user_id: 'alice', password: passwordOf('golden') },
  login_failed: { user_id: 'alice', remote: '192.0.2.9' },
  login: { user_id: 'alice', password_version: 2, session: SESSION, address: ADDRESS, remote: '192.0.2.7' },
  resume: { address: { host: '2001:db8::1', port: 1 } },
  create_group: G,
  join_group: G,
  accept_request: { ...G, user_id: 'bob' },
  reject_request: { ...G, user_id: 'bob' },
  transfer_ownership: { ...G, user_id: 'bob' },
  remove_member: { ...G, user_id: 'bob' },
  share_file: { ...F, ...content },
  begin_download: { ...F, manifest_hash },
  record_share: { ...F, manifest_hash },
  stop_share: F,
  remove_file: F,
  change_password: { password_version: 2, password: passwordOf('newer') },
  leave_group: G,
  expire: { sessions: [{ session: SESSION, epoch: 5 }] },
  set_limits: { groups_per_user: 10, files_per_user: 20 },
  upgrade: { version: 1 },
  revoke_session: { target: tokenOf('another session') },
  logout: {},
};

const CLUSTER: readonly CommandType[] = ['expire', 'set_limits', 'upgrade'];
const WITHOUT_SESSION: readonly CommandType[] = ['register_client', 'create_user', 'login', 'login_failed'];

export const EXAMPLES = Object.fromEntries(
  Object.entries(PAYLOADS).map(([name, payload], i) => {
    const type = name as CommandType;
    const cluster = CLUSTER.includes(type);
    const clientless = cluster || type === 'register_client';
    const command = {
      type,
      clientId: clientless ? null : CLIENT,
      seq: clientless ? 0 : i,
      acked: clientless ? 0 : Math.max(0, i - 2),
      actor: {
        fingerprint: cluster ? null : FINGERPRINT,
        session: cluster || WITHOUT_SESSION.includes(type) ? null : SESSION,
      },
      at: START_MS + i * 1000,
      payload,
    };
    return [type, command as Command];
  }),
) as { readonly [T in CommandType]: Extract<Command, { readonly type: T }> };
