// Watches a real daemon through its control socket, on one connection: `mt` takes longer to start than some of what is measured.
import { connect } from 'node:net';
import { VERSION } from '../../cli/version.ts';
import { type ControlApi, controlApi, controlHelloSchema, type DownloadRow } from '../../codec/control-api.ts';
import { CONTROL_PAYLOAD_BYTES_MAX } from '../../codec/limits.ts';
import { type Params, type Result, RpcConnection } from '../../codec/rpc.ts';
import { until } from './until.ts';
import type { Daemon } from './world.ts';

const ROW_MS_MAX = 30_000;

export class Meter {
  readonly #rpc: RpcConnection<ControlApi>;

  private constructor(rpc: RpcConnection<ControlApi>) {
    this.#rpc = rpc;
  }

  static async of(daemon: Daemon): Promise<Meter> {
    const rpc = new RpcConnection<ControlApi>(connect(daemon.socket), {
      calls: controlApi,
      hello: { program: 'mt', version: VERSION },
      helloSchema: controlHelloSchema,
      keepAlive: false,
      valueBytesMax: CONTROL_PAYLOAD_BYTES_MAX,
    });
    await rpc.ready;
    return new Meter(rpc);
  }

  ask<M extends keyof ControlApi & string>(method: M, params: Params<ControlApi, M>): Promise<Result<ControlApi, M>> {
    return this.#rpc.call(method, params);
  }

  async row(file: string): Promise<DownloadRow | undefined> {
    return (await this.ask('show_downloads', {})).downloads.find(({ file_name }) => file_name === file);
  }

  /** Waits until the download is as it should be; answers the row, and for how long that took. */
  async when(what: string, file: string, isSo: (row: DownloadRow) => boolean): Promise<DownloadRow & { ms: number }> {
    const beganMs = performance.now();
    let row: DownloadRow | undefined;
    const look = async () => {
      row = await this.row(file);
      return row && isSo(row) ? row : null;
    };
    const found = await until(what, look, { timeoutMs: ROW_MS_MAX, everyMs: 20 }).catch((error: Error) => {
      throw new Error(`${error.message}; it is ${JSON.stringify(row)}`);
    });
    return { ...found, ms: performance.now() - beganMs };
  }

  /** Bytes of content that came so far, and went. */
  async moved(): Promise<{ up: number; down: number; atMs: number }> {
    const askedAtMs = performance.now();
    const { bytes_uploaded: up, bytes_downloaded: down } = await this.ask('status', {});
    return { up, down, atMs: (askedAtMs + performance.now()) / 2 };
  }

  /** Bytes a second over so long. */
  async rate(direction: 'up' | 'down', ms: number): Promise<number> {
    const before = await this.moved();
    await new Promise((resolve) => setTimeout(resolve, ms));
    const after = await this.moved();
    return ((after[direction] - before[direction]) * 1000) / (after.atMs - before.atMs);
  }

  close(): void {
    this.#rpc.close();
  }
}
