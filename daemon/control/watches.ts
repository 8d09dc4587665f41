// Control methods about watched directories.
import type { ControlApi } from '../../codec/control-api.ts';
import type { Handlers } from '../../codec/rpc.ts';
import { type ControlContext, waitOf } from './context.ts';

type Methods = 'watch' | 'unwatch' | 'list_watches';

export function watchHandlers({ watches }: ControlContext): Pick<Handlers<ControlApi>, Methods> {
  return {
    watch: async ({ path: typed, group_id, ...rest }, { signal }) => {
      const { path, isNew } = await watches.add(typed, group_id, waitOf(rest, signal));
      return { path, group_id, new_watch: isNew };
    },
    unwatch: async ({ path, group_id }) => ({ path, group_ids: await watches.remove(path, group_id) }),
    list_watches: () => ({
      watches: watches.list().map(({ path, groupId, shared, waiting, failures, problem }) => ({
        path,
        group_id: groupId,
        shared,
        waiting,
        failed: failures.map(({ fileName, code, message }) => ({ file: fileName, code, message })),
        problem,
      })),
    }),
  };
}
