// Control methods about keeping shares whole for a long time.
import type { ControlApi } from '../../codec/control-api.ts';
import type { Handlers } from '../../codec/rpc.ts';
import { type ControlContext, fileOf } from './context.ts';

export function shareHandlers({
  keeper,
}: ControlContext): Pick<Handlers<ControlApi>, 'relocate' | 'scrub' | 'scrub_status'> {
  return {
    relocate: async ({ path, ...params }, { signal, emit }) => {
      const onProgress = (bytes_done: number, size: number) => emit({ bytes_done, size });
      const { group_id, file_name } = params;
      return { group_id, file_name, path: await keeper.relocate({ file: fileOf(params), path, signal, onProgress }) };
    },
    scrub: async (params, { signal, emit }) => {
      const onProgress = (bytes_done: number, size: number) => emit({ bytes_done, size });
      const { pieces, rotten } = await keeper.scrub(fileOf(params), { signal, onProgress });
      return { group_id: params.group_id, file_name: params.file_name, pieces, damaged_pieces: rotten };
    },
    scrub_status: ({ start }) => {
      if (start) keeper.scrubAll();
      return keeper.status();
    },
  };
}
