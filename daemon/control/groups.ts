// Control methods about groups: each one is a command or a listing of the trackers.
import type { ControlApi } from '../../codec/control-api.ts';
import type { Handlers } from '../../codec/rpc.ts';
import { type ControlContext, waitOf } from './context.ts';

type OfGroup = 'create_group' | 'join_group' | 'leave_group';
type OfMember = 'accept_request' | 'reject_request' | 'remove_member' | 'transfer_ownership';
type Listings = 'list_groups' | 'list_members' | 'list_requests';

export function groupHandlers({ client }: ControlContext): Pick<Handlers<ControlApi>, OfGroup | OfMember | Listings> {
  const ofGroup =
    (method: OfGroup) =>
    ({ group_id, ...rest }: { group_id: string; timeout_ms?: number | undefined }) =>
      client.command(method, { group_id }, waitOf(rest));
  const ofMember =
    (method: OfMember) =>
    ({ group_id, user_id, ...rest }: { group_id: string; user_id: string; timeout_ms?: number | undefined }) =>
      client.command(method, { group_id, user_id }, waitOf(rest));
  return {
    create_group: ofGroup('create_group'),
    join_group: ofGroup('join_group'),
    leave_group: ofGroup('leave_group'),
    accept_request: ofMember('accept_request'),
    reject_request: ofMember('reject_request'),
    remove_member: ofMember('remove_member'),
    transfer_ownership: ofMember('transfer_ownership'),
    list_groups: async (params, { signal }) => ({
      groups: await client.listAll('list_groups', {}, waitOf(params, signal)),
    }),
    list_members: async ({ group_id, ...rest }, { signal }) => ({
      members: await client.listAll('list_members', { group_id }, waitOf(rest, signal)),
    }),
    list_requests: async ({ group_id, ...rest }, { signal }) => ({
      requests: await client.listAll('list_requests', { group_id }, waitOf(rest, signal)),
    }),
  };
}
