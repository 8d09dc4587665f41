// The data plane of one daemon: listener, disk workers, memory, limits, and the downloads and shares that use them. Puts the
// parts together and passes news on; every decision is in one of them.
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { Logger } from 'pino';
import { MtError } from '../codec/errors.ts';
import type { Address } from '../codec/ids.ts';
import type { AdmissionLimits } from '../codec/service/admission.ts';
import { PieceDisk } from './disk/piece-disk.ts';
import type { PieceFile } from './disk/piece-file.ts';
import { DownloadManager } from './download/manager.ts';
import { type FetchContext, type FetchRequest, fetchPieces } from './download/piece-fetch.ts';
import type {
  DataPlane,
  DataPlanePorts,
  DownloadAnswer,
  DownloadCallOptions,
  DownloadRequest,
  FileRef,
  TransferLimits,
} from './download/types.ts';
import { Limiter } from './limiter.ts';
import { BufferPool } from './peer/buffer-pool.ts';
import { PeerListener } from './peer/listener.ts';
import { RateMeter } from './peer/rate-meter.ts';
import { Serving } from './peer/serving.ts';
import { SlotPool } from './peer/slots.ts';
import { peerTlsOptions } from './peer/tls.ts';
import { UserFiles } from './pieces/user-shares.ts';
import { DownloadStore } from './store/download-store.ts';
import type { Sqlite } from './store/store.ts';

export interface DataPlaneOptions {
  readonly ports: DataPlanePorts;
  /** Port 0: any free one. */
  readonly listen: Address;
  readonly limits: TransferLimits;
  readonly connections?: AdmissionLimits;
  /** The daemon's store; maps of unfinished downloads lie beside it. */
  readonly db: Sqlite;
  readonly log: Logger;
  /** A worker died: a broken invariant of our own, the daemon must end. */
  readonly onCrash: (error: Error) => void;
}

/**
 * Listens, and takes up the downloads of earlier runs once `onSession` names their user.
 * @throws MtError ADDRESS_IN_USE, PERMISSION, INVALID_ARGUMENT
 */
export async function startDataPlane(options: DataPlaneOptions): Promise<{ dataPlane: DataPlane; address: Address }> {
  const plane = new PeerDataPlane(options);
  try {
    return { dataPlane: plane, address: await plane.listen(options.listen) };
  } catch (error) {
    await plane.close();
    throw error;
  }
}

class PeerDataPlane implements DataPlane {
  readonly #resources;
  readonly #fetching: FetchContext;
  readonly #listener: PeerListener;
  readonly #serving: Serving;
  readonly #manager: DownloadManager;
  readonly #log: Logger;
  /** Users come and go one after the other. */
  #turn: Promise<void> = Promise.resolve();

  constructor({ ports, limits, connections, db, log, onCrash }: DataPlaneOptions) {
    this.#log = log;
    const pool = new SlotPool();
    this.#resources = {
      pool,
      disk: new PieceDisk(pool, onCrash),
      buffers: new BufferPool(),
      upLimiter: new Limiter(limits.up),
      downLimiter: new Limiter(limits.down),
      upMeter: new RateMeter(),
      downMeter: new RateMeter(),
      userFiles: new UserFiles(),
    };
    const tls = peerTlsOptions(ports.identity);
    this.#fetching = { ports, resources: this.#resources, tls: createSecureContext(tls), log };
    this.#serving = new Serving(ports, this.#resources, log);
    this.#listener = new PeerListener(tls, this.#serving, connections);
    const maps = join(dirname(db.name), 'downloads');
    mkdirSync(maps, { recursive: true, mode: 0o700 });
    this.#manager = new DownloadManager({
      ports,
      store: new DownloadStore(db),
      resources: this.#resources,
      serving: this.#serving,
      tls: this.#fetching.tls,
      log,
      mapPath: ({ id }) => join(maps, `${id}.map`),
    });
  }

  listen({ host, port }: Address): Promise<Address> {
    return this.#listener.listen(host, port);
  }

  download(request: DownloadRequest, options: DownloadCallOptions): Promise<DownloadAnswer> {
    return this.#manager.download(request, options);
  }

  list() {
    return this.#manager.list();
  }

  pause(file: FileRef): Promise<void> {
    return this.#manager.pause(file);
  }

  resume(file: FileRef): Promise<void> {
    return this.#manager.resume(file);
  }

  cancel(file: FileRef): Promise<void> {
    return this.#manager.cancel(file);
  }

  fetchPieces(request: FetchRequest): Promise<PieceFile> {
    return fetchPieces(this.#fetching, request);
  }

  partials() {
    return this.#manager.partials();
  }

  limits({ up, down }: { readonly up: number | null; readonly down: number | null }): TransferLimits {
    const { upLimiter, downLimiter } = this.#resources;
    if (up !== null) upLimiter.setRate(up);
    if (down !== null) downLimiter.setRate(down);
    return { up: upLimiter.rate, down: downLimiter.rate };
  }

  rates() {
    const { upMeter, downMeter } = this.#resources;
    return {
      upload: upMeter.rate(),
      download: downMeter.rate(),
      bytesUploaded: upMeter.total,
      bytesDownloaded: downMeter.total,
    };
  }

  onSession(userId: string | null): void {
    if (userId === null) this.#serving.stop(null);
    this.#turn = this.#turn
      .then(() => this.#manager.setUser(userId))
      .catch((error: unknown) => this.#log.error({ err: error }, 'downloads could not follow the session'));
  }

  onRevoked(revoked: { userId: string; fingerprint: string | null; groupId: string | null }): void {
    this.#serving.revoke(revoked);
  }

  onEpoch(groupId: string, epoch: number, isGap: boolean): void {
    this.#serving.noteEpoch(groupId, epoch, isGap);
    this.#manager.renewTickets(groupId);
  }

  onGap(): void {
    this.#serving.onGap();
  }

  onShareStopped({ groupId, fileName }: FileRef): void {
    this.#serving.stop({ groupId, fileName });
  }

  onFileRemoved({ groupId, fileName }: FileRef): void {
    this.#serving.stop({ groupId, fileName });
    const error = new MtError('NO_SUCH_FILE', `"${fileName}" was removed from group ${groupId}`);
    this.#manager.fail({ groupId, fileName }, error);
  }

  onGroupLeft(groupId: string): void {
    this.#serving.stop({ groupId, fileName: null });
    const error = new MtError('NOT_MEMBER', `You are no longer a member of group ${groupId}`);
    this.#manager.fail({ groupId, fileName: null }, error);
  }

  async close(): Promise<void> {
    const { upLimiter, downLimiter, disk } = this.#resources;
    await this.#turn;
    await this.#manager.close();
    await this.#serving.close();
    await this.#listener.close();
    upLimiter.close();
    downLimiter.close();
    await disk.close();
  }
}
