/**
 * The taking half of policy R: answers offers, follows the blocks as they come, takes pieces back from sources that die or
 * stall, and finds the culprit of a bad hash.
 *
 *     needed ──accept──▶ in progress ──last block──▶ verifying ──▶ verified
 *        ▲                 │  ▲                          │
 *        │   source gone   ▼  │ accept                   │ hash bad: blame
 *        ├◀─(no block)── orphan ─(oldest, too many)──▶ needed ◀──┘
 *
 * A piece is in exactly one of these states. Blocks of an orphan are kept and the rest is fetched elsewhere.
 */
import { Assembly } from './assembly.ts';
import { first } from './bitfield.ts';
import type { Core } from './core.ts';
import { blockAround, blockAt, blockCount, pieceIndex } from './geometry.ts';
import type { Neighbour } from './neighbour-table.ts';
import { rarest } from './offer-picker.ts';
import { Source } from './source.ts';
import type { BlockClaim, NeighbourId } from './types.ts';

/** No block of a piece for so long: a second source may join in. */
const ENDGAME_PATIENCE_MS = 250;
/** More sources for one piece only waste bytes. */
const ENDGAME_SOURCES_MAX = 3;
/** Candidates looked at for another piece to accept, before the exhaustive way. */
const PROBES_MAX = 64;
/** Pieces with a bad hash to which a neighbour contributed among others, before it is banned. */
const SUSPICIONS_MAX = 3;

export class Receiver {
  bytesUseless = 0;
  private paused = false;
  private readonly core: Core;
  private readonly orphansMax: number;
  private readonly sources = new Map<NeighbourId, Source>();
  /** Invariant: pieces in progress and orphans; none of them verified or verifying. */
  private readonly assemblies = new Map<number, Assembly>();
  /** Invariant: full, waiting for the hash. */
  private readonly verifying = new Map<number, Assembly>();
  /** Assemblies without a source, oldest first. */
  private readonly orphans = new Set<Assembly>();
  /** Pieces that failed with several contributors: fetched from one source only, so that the next failure has one culprit. */
  private readonly soleSource = new Set<number>();

  constructor(core: Core, orphansMax: number) {
    this.core = core;
    this.orphansMax = orphansMax;
  }

  get isReceiving(): boolean {
    return this.assemblies.size > 0;
  }

  /** Pieces that a new neighbour must know about. */
  gettingPieces(): number[] {
    const pieces = [...this.verifying.keys()];
    for (const assembly of this.assemblies.values()) if (assembly.sources.size > 0) pieces.push(assembly.piece);
    return pieces;
  }

  linkUp(neighbour: Neighbour): void {
    this.sources.set(neighbour.id, new Source(neighbour, this.core.nowMs));
  }

  linkDown(id: NeighbourId): void {
    const source = this.sources.get(id);
    if (!source) return;
    this.sources.delete(id);
    for (const piece of [...source.accepted.keys()]) this.release(source, piece, false);
  }

  onOffer(id: NeighbourId, piece: number, endgame: boolean): void {
    const source = this.sources.get(id)!;
    // I chose it instead of another offer while this one was under way: it is answered already.
    if (source.accepted.has(piece)) return;
    if (this.paused) return this.decline(source, piece);
    if (source.mustDefer(this.core)) {
      source.deferred.set(piece, endgame);
      if (source.isFlooding) this.core.ban(source.neighbour, 'protocol');
      return;
    }
    const choice = this.choose(source, piece, endgame);
    if (choice === null) this.decline(source, piece);
    else this.accept(source, piece, choice);
  }

  onWithdraw(id: NeighbourId, piece: number): void {
    const source = this.sources.get(id)!;
    source.deferred.delete(piece);
    if (source.accepted.has(piece)) this.release(source, piece, false);
  }

  onAlive(id: NeighbourId): void {
    const source = this.sources.get(id);
    if (source) source.byteAtMs = this.core.nowMs;
  }

  onHeld(id: NeighbourId): void {
    this.sources.get(id)?.excuse(this.core.nowMs);
  }

  wantsBlock(id: NeighbourId, { piece, offset, size }: BlockClaim): boolean {
    const index = pieceIndex(this.core.geometry, piece);
    const block = index === null ? null : blockAround(this.core.geometry, index, offset, size);
    const assembly = this.assemblies.get(piece);
    return block !== null && assembly?.sources.has(id) === true && assembly.lacks(block);
  }

  onBlock(id: NeighbourId, claim: BlockClaim & { kept: boolean }): void {
    const source = this.sources.get(id);
    if (!source) return;
    const index = pieceIndex(this.core.geometry, claim.piece);
    const block = index === null ? null : blockAt(this.core.geometry, index, claim.offset, claim.size);
    if (block === null) return this.core.ban(source.neighbour, 'protocol');
    source.onData(claim.size, this.core.nowMs);
    if (!claim.kept || !this.wantsBlock(id, claim)) {
      this.bytesUseless += claim.size;
      return;
    }
    const assembly = this.assemblies.get(claim.piece)!;
    assembly.add(block, id, this.core.nowMs);
    if (assembly.isFull) this.finish(assembly, source);
  }

  onVerified(piece: number): void {
    this.verifying.delete(piece);
    this.soleSource.delete(piece);
    this.core.table.addMine(piece);
    this.core.news.have(piece);
  }

  /** The hash was bad (`isBlamed`), or the disk did not take the piece. */
  onLost(piece: number, isBlamed: boolean): void {
    const assembly = this.verifying.get(piece);
    if (!assembly) return;
    this.verifying.delete(piece);
    this.core.table.setNeeded(piece, true);
    this.core.news.want(piece);
    if (isBlamed) this.blame(assembly);
  }

  pause(): void {
    this.paused = true;
    for (const source of this.sources.values()) {
      for (const piece of [...source.accepted.keys()]) this.release(source, piece, true);
      for (const piece of source.deferred.keys()) this.decline(source, piece);
      source.deferred.clear();
    }
    for (const assembly of [...this.orphans]) this.discard(assembly);
  }

  resume(): void {
    this.paused = false;
  }

  tick(): void {
    for (const source of this.sources.values()) {
      if (source.isSilent(this.core.nowMs)) this.takeBack(source, [...source.accepted.keys()]);
      else if (source.isIdling(this.core.nowMs)) {
        this.takeBack(
          source,
          [...source.accepted.keys()].filter((piece) => this.hasOtherSource(piece, source)),
        );
      }
      this.answerDeferred(source);
    }
  }

  /** The piece to accept instead of (or as) the offered one; null: none. */
  private choose(source: Source, offered: number, endgame: boolean): number | null {
    const { table } = this.core;
    const orphan = this.orphanFor(source);
    if (orphan !== null) return orphan;
    if (table.needed.has(offered)) return offered;
    if (this.isEndgameWelcome(source, offered, endgame)) return offered;
    return this.other(source.neighbour);
  }

  private isEndgameWelcome(source: Source, piece: number, endgame: boolean): boolean {
    const assembly = this.assemblies.get(piece);
    if (!endgame || !assembly || assembly.sources.has(source.neighbour.id) || this.soleSource.has(piece)) return false;
    const isStalled = this.core.nowMs - assembly.progressAtMs >= ENDGAME_PATIENCE_MS;
    if (isStalled) return assembly.sources.size < ENDGAME_SOURCES_MAX;
    return assembly.sources.size <= 1 && this.core.table.needed.count === 0;
  }

  /** A partly received piece that this source can complete: finishing it frees memory. */
  private orphanFor(source: Source): number | null {
    for (const { piece } of this.orphans) if (source.neighbour.have.has(piece)) return piece;
    return null;
  }

  /** My rarest needed piece that the neighbour has; in order if I have nobody to pass it on to. */
  private other(neighbour: Neighbour): number | null {
    const { table, random } = this.core;
    const isGood = (piece: number) => neighbour.have.has(piece);
    if (table.receiverCount > 0) {
      const piece = table.needed.findRarest(isGood, random, PROBES_MAX);
      if (piece !== null) return piece;
    }
    if (table.needed.count === 0) return null;
    const candidates = neededOf(neighbour, table);
    return table.receiverCount > 0 ? rarest(this.core, candidates) : first(candidates);
  }

  private accept(source: Source, offered: number, piece: number): void {
    const { core } = this;
    const id = source.neighbour.id;
    let assembly = this.assemblies.get(piece);
    if (!assembly) {
      assembly = new Assembly(piece, blockCount(core.geometry, pieceIndex(core.geometry, piece)!), core.nowMs);
      this.assemblies.set(piece, assembly);
    }
    const reverse = assembly.sources.size > 0;
    if (!reverse) {
      assembly.progressAtMs = core.nowMs;
      core.news.getting(piece);
    }
    if (this.soleSource.has(piece) && !assembly.isEmpty) assembly = this.restart(assembly);
    assembly.sources.add(id);
    this.orphans.delete(assembly);
    core.table.setNeeded(piece, false);
    source.accept(piece, core.nowMs);
    source.deferred.delete(piece);
    core.send(id, 'download', { type: 'accept', offered, piece, runs: assembly.missingRuns(), reverse });
  }

  private decline(source: Source, piece: number): void {
    this.core.send(source.neighbour.id, 'download', { type: 'decline', piece });
  }

  private finish(assembly: Assembly, last: Source): void {
    const { piece } = assembly;
    this.assemblies.delete(piece);
    this.verifying.set(piece, assembly);
    for (const id of assembly.sources) {
      const source = this.sources.get(id)!;
      source.accepted.delete(piece);
      this.core.send(id, 'download', { type: source === last ? 'got' : 'cancel', piece });
    }
    this.core.act({ type: 'verify', piece });
    for (const id of assembly.sources) this.answerDeferred(this.sources.get(id)!);
  }

  private answerDeferred(source: Source): void {
    for (const [piece, endgame] of source.deferred) {
      if (source.mustDefer(this.core)) return;
      source.deferred.delete(piece);
      this.onOffer(source.neighbour.id, piece, endgame);
    }
  }

  private takeBack(source: Source, pieces: readonly number[]): void {
    if (pieces.length === 0) return;
    for (const piece of pieces) this.release(source, piece, true);
    if (source.strike(this.core.nowMs)) this.core.ban(source.neighbour, 'stalls');
  }

  private hasOtherSource(piece: number, than: Source): boolean {
    for (const source of this.sources.values())
      if (source !== than && source.neighbour.have.has(piece) && source.strikes === 0) return true;
    return false;
  }

  /** The source no longer sends the piece; without another one it is needed again, its blocks kept. */
  private release(source: Source, piece: number, isTold: boolean): void {
    source.accepted.delete(piece);
    const assembly = this.assemblies.get(piece)!;
    assembly.sources.delete(source.neighbour.id);
    if (isTold) this.core.send(source.neighbour.id, 'download', { type: 'cancel', piece });
    if (assembly.sources.size > 0) return;
    this.core.table.setNeeded(piece, true);
    this.core.news.want(piece);
    if (assembly.isEmpty) {
      this.assemblies.delete(piece);
      return;
    }
    this.orphans.add(assembly);
    if (this.orphans.size > this.orphansMax) this.discard([...this.orphans][0]!);
  }

  private discard(assembly: Assembly): void {
    this.orphans.delete(assembly);
    this.assemblies.delete(assembly.piece);
    this.core.act({ type: 'discard', piece: assembly.piece });
  }

  private restart(assembly: Assembly): Assembly {
    const fresh = new Assembly(assembly.piece, assembly.blockCount, this.core.nowMs);
    this.discard(assembly);
    this.assemblies.set(assembly.piece, fresh);
    return fresh;
  }

  private blame(assembly: Assembly): void {
    const isAlone = assembly.contributors.size === 1;
    if (!isAlone) this.soleSource.add(assembly.piece);
    for (const id of assembly.contributors) {
      const neighbour = this.core.table.neighbours.get(id);
      // It left before its hash was known: the shell still knows who it was.
      if (!neighbour) {
        if (isAlone) this.core.act({ type: 'ban', neighbour: id, reason: 'corrupt' });
        continue;
      }
      const suspicions = (this.sources.get(id)?.suspect() ?? 0) >= SUSPICIONS_MAX;
      if (isAlone || suspicions) this.core.ban(neighbour, 'corrupt');
    }
  }
}

function* neededOf(neighbour: Neighbour, table: Core['table']): Generator<number> {
  for (const piece of neighbour.have.without(table.mine)) if (table.needed.has(piece)) yield piece;
}
