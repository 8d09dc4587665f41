// Control methods about downloads and limits: the data plane does the work.
import type { ControlApi } from '../../codec/control-api.ts';
import type { Handlers } from '../../codec/rpc.ts';
import { type ControlContext, fileOf } from './context.ts';

type Methods = 'download_file' | 'show_downloads' | 'pause_download' | 'resume_download' | 'cancel_download' | 'limits';

export function transferHandlers({ dataPlane }: ControlContext): Pick<Handlers<ControlApi>, Methods> {
  return {
    download_file: (params, { signal, emit }) => dataPlane.download(params, { signal, onProgress: emit }),
    show_downloads: () => ({ downloads: dataPlane.list() }),
    pause_download: async (params) => {
      await dataPlane.pause(fileOf(params));
      return {};
    },
    resume_download: async (params) => {
      await dataPlane.resume(fileOf(params));
      return {};
    },
    cancel_download: async (params) => {
      await dataPlane.cancel(fileOf(params));
      return {};
    },
    limits: ({ up, down }) => dataPlane.limits({ up, down }),
  };
}
