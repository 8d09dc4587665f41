// Looks after what this daemon shares for a long time: patrol, search for what was moved, scrub and repair. Puts these parts
// together and speaks for them to the control server; every decision is in one of them.
import type { Logger } from 'pino';
import type { ControlApi } from '../../codec/control-api.ts';
import type { Result } from '../../codec/rpc.ts';
import { FileHasher } from '../disk/hash.ts';
import type { HashPool } from '../disk/hash-pool.ts';
import type { DataPlane, FileRef } from '../download/types.ts';
import type { Shares } from '../share.ts';
import { PieceChecker } from './check-pieces.ts';
import { Finder } from './finder.ts';
import { Patrol } from './patrol.ts';
import { type RelocateRequest, relocate } from './relocate.ts';
import { Repairer } from './repairer.ts';
import type { ScrubSettings } from './scrub-plan.ts';
import { Scrubber } from './scrubber.ts';

export interface KeeperParts {
  readonly shares: Shares;
  readonly pool: HashPool;
  readonly dataPlane: Pick<DataPlane, 'fetchPieces' | 'rates'>;
  /** For pieces that are fetched to mend a file. */
  readonly directory: string;
  readonly settings: ScrubSettings;
  readonly log: Logger;
}

export class ShareKeeper {
  readonly #shares: Shares;
  readonly #hasher: FileHasher;
  readonly #finder: Finder;
  readonly #patrol: Patrol;
  readonly #scrubber: Scrubber;
  readonly #repairer: Repairer;

  constructor({ shares, pool, dataPlane, directory, settings, log }: KeeperParts) {
    const checker = new PieceChecker(pool);
    this.#shares = shares;
    // Not the uploads' own: a search never keeps an upload waiting.
    this.#hasher = new FileHasher(pool);
    this.#finder = new Finder({ shares, checker, hasher: this.#hasher, log });
    this.#patrol = new Patrol({ shares, finder: this.#finder, log });
    this.#repairer = new Repairer({ shares, checker, dataPlane, directory, log });
    const movingBytesPerS = () => {
      const { upload, download } = dataPlane.rates();
      return upload + download;
    };
    const onRotten = () => this.#repairer.kick();
    this.#scrubber = new Scrubber({ shares, checker, movingBytesPerS, onRotten, log }, settings);
  }

  /** The user says where a shared file is now. */
  relocate(request: RelocateRequest): Promise<string> {
    return relocate({ shares: this.#shares, hasher: this.#hasher }, request);
  }

  /** Reads one share at once; what is rotten is repaired in the background. */
  async scrub(file: FileRef, call: Parameters<Scrubber['scrubNow']>[1]): Promise<{ pieces: number; rotten: number }> {
    const found = await this.#scrubber.scrubNow(file, call);
    if (found.rotten > 0) this.#repairer.retry();
    return found;
  }

  scrubAll(): void {
    this.#scrubber.askForAll();
    this.#repairer.retry();
  }

  configure(settings: ScrubSettings): void {
    this.#scrubber.configure(settings);
  }

  status(): Result<ControlApi, 'scrub_status'> {
    const { bytesPerS, intervalMs } = this.#scrubber.settings;
    const shares = this.#shares.records().map((record) => ({
      group_id: record.groupId,
      file_name: record.fileName,
      checked_at: record.scrubbedAtMs === 0 ? null : record.scrubbedAtMs,
      damaged_pieces: this.#shares.rottenOf(record)?.count ?? 0,
    }));
    return {
      rate: bytesPerS,
      interval_ms: intervalMs,
      running: this.#scrubber.running,
      repairing: this.#repairer.underWay,
      bytes_checked: this.#scrubber.bytesRead,
      pieces_damaged: this.#scrubber.piecesRotten,
      pieces_repaired: this.#repairer.piecesRepaired,
      shares,
    };
  }

  async close(): Promise<void> {
    this.#patrol.close();
    await Promise.all([this.#finder.close(), this.#scrubber.close(), this.#repairer.close()]);
  }
}
