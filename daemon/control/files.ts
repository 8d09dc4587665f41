// Control methods about the files of groups and what this daemon shares.
import type { ControlApi } from '../../codec/control-api.ts';
import type { Handlers } from '../../codec/rpc.ts';
import { type ControlContext, fileOf, toHex, waitOf } from './context.ts';

type Methods = 'list_files' | 'list_seeders' | 'upload_file' | 'stop_share' | 'remove_file' | 'show_shares';

export function fileHandlers({ client, shares, uploads }: ControlContext): Pick<Handlers<ControlApi>, Methods> {
  return {
    list_files: async ({ group_id, ...rest }, { signal }) => {
      const files = await client.listAll('list_files', { group_id }, waitOf(rest, signal));
      return {
        files: files.map(({ tree_size, ...file }) => ({
          ...file,
          ...kindOf(file.size, tree_size),
          sha1: toHex(file.sha1),
        })),
      };
    },
    list_seeders: async ({ group_id, file_name, ...rest }, { signal }) => ({
      seeders: await client.listAll('list_seeders', { group_id, file_name }, waitOf(rest, signal)),
    }),
    upload_file: async ({ path, group_id, timeout_ms }, { signal, emit }) => {
      const onProgress = (bytes_done: number, size: number) => emit({ bytes_done, size });
      const request = { path, groupId: group_id, timeoutMs: timeout_ms, signal, onProgress };
      const { fileName, manifest, newFile } = await uploads.upload(request);
      return {
        group_id,
        file_name: fileName,
        ...kindOf(manifest.size, manifest.treeSize),
        size: manifest.size,
        sha1: toHex(manifest.sha1),
        piece_count: manifest.pieceCount,
        new_file: newFile,
      };
    },
    stop_share: async (params) => {
      await shares.stop(fileOf(params), params.timeout_ms);
      return {};
    },
    remove_file: ({ group_id, file_name, ...rest }) =>
      client.command('remove_file', { group_id, file_name }, waitOf(rest)),
    show_shares: async () => ({ shares: await shares.list() }),
  };
}

/** A row of a plain file says nothing about it. */
function kindOf(size: number, treeSize: number | undefined): { kind?: 'directory'; content_size?: number } {
  return treeSize === undefined ? {} : { kind: 'directory', content_size: size - treeSize };
}
