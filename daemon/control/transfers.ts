// Control methods about downloads and limits: the data plane does the work. Limits that a user sets are remembered for the next
// start; what the command line or the configuration says there stands over them.
import type { ControlApi } from '../../codec/control-api.ts';
import type { Handlers } from '../../codec/rpc.ts';
import type { TransferLimits } from '../download/types.ts';
import type { SettingsStore } from '../store/settings-store.ts';
import { type ControlContext, fileOf } from './context.ts';

type Methods = 'download_file' | 'show_downloads' | 'pause_download' | 'resume_download' | 'cancel_download' | 'limits';

/** Bytes a second; null: not said now. */
interface LimitChange {
  readonly up: number | null;
  readonly down: number | null;
}

/** What holds at a start (or when the configuration is read again): what is said there, else what was set last, else none. */
export function limitsAtStart(settings: SettingsStore, said: LimitChange): TransferLimits {
  const set = settings.get('limits');
  return { up: said.up ?? set?.up ?? 0, down: said.down ?? set?.down ?? 0 };
}

function remember(settings: SettingsStore, { up, down }: LimitChange): void {
  if (up === null && down === null) return;
  const before = settings.get('limits');
  settings.set('limits', { up: up ?? before?.up ?? null, down: down ?? before?.down ?? null });
}

export function transferHandlers({ dataPlane, settings }: ControlContext): Pick<Handlers<ControlApi>, Methods> {
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
    limits: ({ up, down }) => {
      remember(settings, { up, down });
      return dataPlane.limits({ up, down });
    },
  };
}
