// Who gets what from this daemon: the gate of its listener, the swarms behind it, and the watch over open links (tickets that
// end, users thrown out, files that changed on disk). Downloads lend their swarm for serving; other shares get one on demand.
import type { Logger } from 'pino';
import { isMtError, MtError } from '../../codec/errors.ts';
import { decodeManifest } from '../../codec/manifest.ts';
import type { WantHello } from '../../codec/peer-messages.ts';
import { openTicket, type Ticket } from '../../codec/ticket.ts';
import { PieceFile } from '../disk/piece-file.ts';
import type { DataPlanePorts, FileRef, ServableShare } from '../download/types.ts';
import { Bitfield } from '../pieces/bitfield.ts';
import { compareShare } from '../tree/tree-index.ts';
import { Holders } from './holders.ts';
import type { PeerLink } from './link.ts';
import type { Gate } from './listener.ts';
import { isMatch, type Revocation, Revocations } from './revocations.ts';
import { Swarm, type SwarmResources } from './swarm.ts';

const WATCH_MS = 1_000;
/** A share nobody fetches is closed after so many watches in a row. */
const IDLE_WATCHES_MAX = 5;
/** Looking at the files of a large directory takes a while: it may take this part of the time. */
const LOOKING_SHARE = 1 / 20;

interface Served extends FileRef {
  readonly swarm: Swarm;
  readonly manifestHash: Uint8Array;
  /** The finished file behind it; null while it is a download. */
  share: ServableShare | null;
  idleWatches: number;
  /** On the clock of performance.now(). */
  lookAtMs: number;
}

export class Serving implements Gate {
  readonly #ports: DataPlanePorts;
  readonly #resources: SwarmResources;
  readonly #log: Logger;
  readonly #served = new Map<string, Served>();
  /** Shares being opened: the second comer waits for the first. */
  readonly #opening = new Map<string, Promise<Served>>();
  readonly #revocations = new Revocations();
  readonly #holders: Holders;
  readonly #timer: NodeJS.Timeout;

  constructor(ports: DataPlanePorts, resources: SwarmResources, log: Logger) {
    this.#ports = ports;
    this.#resources = resources;
    this.#log = log;
    this.#holders = new Holders(ports.trackers, this.#revocations, (revocation) => this.revoke(revocation));
    this.#timer = setInterval(() => this.#watch(), WATCH_MS);
    this.#timer.unref();
  }

  async admit(hello: WantHello, fingerprint: string): Promise<{ ticket: Ticket; enter: (link: PeerLink) => void }> {
    const { identity } = this.#ports;
    if (fingerprint === identity.fingerprint) throw new MtError('FORBIDDEN', 'This daemon dialled itself');
    const file = { groupId: hello.group_id, fileName: hello.file_name };
    const ticket = this.#readTicket(hello.ticket, { ...file, fingerprint, manifestHash: hello.manifest_hash });
    await this.#holders.confirm(ticket);
    this.#requireValid(ticket);
    const served = this.#served.get(keyOf(file)) ?? (await this.#openOnce(file));
    if (!isSame(served.manifestHash, hello.manifest_hash)) {
      throw new MtError('NO_SUCH_SHARE', 'Another file is shared under this name here');
    }
    return {
      ticket,
      enter: (link) => {
        served.idleWatches = 0;
        // Thrown out, or the share ended, while the door was opening.
        if (this.#served.get(keyOf(file)) !== served || this.#isVoid(ticket)) {
          link.close(new MtError('FORBIDDEN', 'The ticket is no longer valid'));
          return;
        }
        served.swarm.addLink(link);
      },
    };
  }

  /** A download serves what it has. */
  add(file: FileRef, swarm: Swarm, manifestHash: Uint8Array): void {
    const { groupId, fileName } = file;
    this.#served.get(keyOf(file))?.swarm.close();
    this.#served.set(keyOf(file), { groupId, fileName, swarm, manifestHash, share: null, idleWatches: 0, lookAtMs: 0 });
  }

  /** The download is a share now: from here on its swarm and file are closed by this class. */
  becomeShare(file: FileRef, swarm: Swarm, share: ServableShare): void {
    const served = this.#served.get(keyOf(file));
    if (served?.swarm === swarm) served.share = share;
  }

  /** The download ended otherwise; its owner closes the swarm. */
  remove(file: FileRef, swarm: Swarm): void {
    if (this.#served.get(keyOf(file))?.swarm === swarm) this.#served.delete(keyOf(file));
  }

  /** What a fresh ticket on an open link must be; else the link ends. */
  renewTicket(file: FileRef, manifestHash: Uint8Array, link: PeerLink, bytes: Uint8Array): void {
    try {
      const ticket = this.#readTicket(bytes, { ...file, manifestHash, fingerprint: link.fingerprint });
      this.#requireValid(ticket);
      if (ticket.user_id !== link.userId) throw new MtError('FORBIDDEN', 'The ticket is of another user');
      link.ticket = { expiresAtMs: ticket.expires_at, epoch: ticket.epoch };
    } catch (error) {
      link.fail(error);
    }
  }

  /** Cuts the links of whoever is meant, in all swarms, and refuses them from now on. */
  revoke(revocation: Revocation): void {
    const { groupId } = revocation;
    const epoch = groupId === null ? null : this.#epochOf(groupId);
    this.#revocations.revoke(revocation, epoch, Date.now());
    for (const served of this.#served.values()) {
      for (const link of allLinks(served.swarm)) {
        const { userId, fingerprint } = link;
        if (isMatch(revocation, { userId, fingerprint, groupId: served.groupId })) {
          link.close(new MtError('FORBIDDEN', 'The ticket was revoked'));
        }
      }
    }
  }

  /** The news of the trackers begin anew: whoever is connected is asked about. */
  onGap(): void {
    const connected = [...this.#served.values()].flatMap(({ swarm, groupId }) =>
      [...swarm.links('upload')].map(({ userId, fingerprint }) => ({ userId, fingerprint, groupId })),
    );
    this.#holders.onGap(connected, Date.now());
  }

  noteEpoch(groupId: string, epoch: number, isGap: boolean): void {
    this.#revocations.noteEpoch(groupId, epoch, Date.now(), isGap);
  }

  /** Ends what is served of finished shares: one file, a group, or (null) all of them. Downloads are their manager's. */
  stop(which: { groupId: string; fileName: string | null } | null): void {
    for (const [key, served] of this.#served) {
      const isMeant =
        which === null ||
        (served.groupId === which.groupId && (which.fileName === null || served.fileName === which.fileName));
      if (isMeant && served.share) this.#close(key, served);
    }
    if (which !== null) return;
    this.#revocations.forgetEpochs();
    this.#holders.close();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.stop(null);
    await Promise.allSettled(this.#opening.values());
    this.stop(null);
  }

  /** @throws MtError FORBIDDEN, saying which check failed. */
  #readTicket(bytes: Uint8Array, expected: FileRef & { fingerprint: string; manifestHash: Uint8Array }): Ticket {
    const { identity } = this.#ports;
    if (identity.userId() === null) throw new MtError('FORBIDDEN', 'Nobody is logged in here');
    const ticket = openTicket(bytes, identity.clusterKeys(), Date.now());
    const isMeant =
      ticket.group_id === expected.groupId &&
      ticket.file_name === expected.fileName &&
      isSame(ticket.manifest_hash, expected.manifestHash);
    if (!isMeant) throw new MtError('FORBIDDEN', 'The ticket is for another file');
    if (ticket.fingerprint !== expected.fingerprint) {
      throw new MtError('FORBIDDEN', 'The ticket was given to another daemon');
    }
    return ticket;
  }

  #requireValid(ticket: Ticket): void {
    if (this.#isVoid(ticket)) throw new MtError('FORBIDDEN', 'The ticket is no longer valid');
  }

  #isVoid(ticket: Ticket): boolean {
    const { user_id: userId, fingerprint, group_id: groupId, epoch, not_before: madeAtMs } = ticket;
    return (
      this.#revocations.isRevoked({ userId, fingerprint, groupId }, { epoch, madeAtMs }) ||
      this.#isOutdated(groupId, epoch)
    );
  }

  #isOutdated(groupId: string, epoch: number): boolean {
    this.#epochOf(groupId);
    return this.#revocations.isOutdated(groupId, epoch, Date.now());
  }

  /** What the session knows may be newer than what was told here. */
  #epochOf(groupId: string): number | null {
    const known = this.#ports.identity.groupEpoch(groupId);
    if (known !== null) this.#revocations.noteEpoch(groupId, known, Date.now(), true);
    return this.#revocations.epochOf(groupId);
  }

  async #openOnce(file: FileRef): Promise<Served> {
    const key = keyOf(file);
    const opening = this.#opening.get(key) ?? this.#open(file).finally(() => this.#opening.delete(key));
    this.#opening.set(key, opening);
    return await opening;
  }

  async #open(file: FileRef): Promise<Served> {
    const { shares } = this.#ports;
    const notShared = (): MtError => new MtError('NO_SUCH_SHARE', 'The file is not shared from here');
    const share = shares.find(file);
    if (!share) throw notShared();
    const manifest = decodeManifest(share.manifest);
    let pieceFile: PieceFile | null;
    try {
      pieceFile = await PieceFile.openShare(share.path, { manifest, manifestHash: share.manifestHash }, share);
    } catch (error) {
      if (isMtError(error)) throw error;
      shares.reportChanged(file, 'missing');
      throw notShared();
    }
    if (!pieceFile) {
      shares.reportChanged(file, 'changed');
      throw notShared();
    }
    // Stopped, or a download of the same file began, while it was opened.
    const other = this.#served.get(keyOf(file));
    if (other || !shares.find(file)) {
      await pieceFile.close();
      if (other) return other;
      throw notShared();
    }
    const { groupId, fileName } = file;
    const swarm = new Swarm({
      ...this.#resources,
      file: pieceFile,
      have: servablePieces(manifest.pieceCount, share.rotten),
      hash: null,
      events: {
        onComplete: () => {},
        onSourceLost: () => {},
        onDiskError: () => {},
        onBanned: ({ userId }, reason) =>
          this.#log.warn({ user: userId, group: groupId, file: fileName, reason }, 'a peer broke the protocol'),
        onTicket: (link, ticket) => this.renewTicket(file, share.manifestHash, link, ticket),
      },
    });
    const { manifestHash } = share;
    const served: Served = { groupId, fileName, swarm, manifestHash, share, idleWatches: 0, lookAtMs: 0 };
    this.#served.set(keyOf(file), served);
    return served;
  }

  #watch(): void {
    const nowMs = Date.now();
    for (const [key, served] of this.#served) {
      for (const link of [...served.swarm.links('upload')]) {
        const { ticket } = link;
        if (!ticket) continue;
        if (nowMs > ticket.expiresAtMs) link.close(new MtError('FORBIDDEN', 'The ticket has expired'));
        else if (this.#isOutdated(served.groupId, ticket.epoch)) {
          link.close(new MtError('FORBIDDEN', 'The ticket is of an older epoch of the group'));
        }
      }
      if (!served.share) continue;
      served.idleWatches = served.swarm.linkCount > 0 ? 0 : served.idleWatches + 1;
      if (served.idleWatches > IDLE_WATCHES_MAX) this.#close(key, served);
      else if (served.swarm.linkCount > 0 && performance.now() >= served.lookAtMs) {
        void this.#checkFile(key, served, served.share);
      }
    }
  }

  /** Noticed within a second, in a large directory a little later: the file is not what was shared any more. */
  async #checkFile(key: string, served: Served, share: ServableShare): Promise<void> {
    const beganMs = performance.now();
    served.lookAtMs = Number.POSITIVE_INFINITY;
    const found = await compareShare(share);
    const tookMs = performance.now() - beganMs;
    served.lookAtMs = beganMs + tookMs / LOOKING_SHARE;
    if (found === 'intact' || this.#served.get(key) !== served) return;
    this.#ports.shares.reportChanged(served, found);
    this.#close(key, served);
  }

  #close(key: string, served: Served): void {
    if (this.#served.get(key) === served) this.#served.delete(key);
    served.swarm.close(new MtError('NO_SUCH_SHARE', 'The file is no longer shared from here'));
    served.swarm.file.close().catch((error: unknown) => this.#log.error({ err: error }, 'a file could not be closed'));
  }
}

/** All but the damaged ones. */
function servablePieces(pieceCount: number, rotten: Uint8Array | null | undefined): Uint8Array {
  const damaged = rotten && Bitfield.fromBytes(rotten, pieceCount);
  const have = Bitfield.full(pieceCount);
  if (damaged) for (const piece of damaged.pieces()) have.clear(piece);
  return have.toBytes();
}

function* allLinks(swarm: Swarm): Generator<PeerLink> {
  yield* [...swarm.links('upload')];
  yield* [...swarm.links('download')];
}

function keyOf({ groupId, fileName }: FileRef): string {
  return `${groupId}/${fileName}`;
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
