// Commands of the cluster itself: what one user may have, and which version of these rules is in force.
import { UnknownCommandError } from './commands.ts';
import { STATE_VERSION_MAX } from './limits.ts';
import type { Transaction } from './transaction.ts';
import type { Payloads, ResultOf } from './types.ts';

/** Holds for what is made from now on; nothing that exists is taken away. */
export function setLimits(
  tx: Transaction,
  { groups_per_user, files_per_user }: Payloads['set_limits'],
): ResultOf<'set_limits'> {
  tx.state.limits = { groupsPerUser: groups_per_user, filesPerUser: files_per_user };
  tx.emit({ type: 'limits_changed', groups_per_user, files_per_user });
  return {};
}

/** Changes of behaviour take effect here, at the same entry on every node. An older version again changes nothing. */
export function upgrade(tx: Transaction, { version }: Payloads['upgrade']): ResultOf<'upgrade'> {
  if (version > STATE_VERSION_MAX) throw new UnknownCommandError(`State-machine version ${version}`);
  if (version > tx.state.version) {
    tx.state.version = version;
    tx.emit({ type: 'upgraded', version });
  }
  return {};
}
