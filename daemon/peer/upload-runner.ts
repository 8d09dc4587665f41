// Carries out what the policy decided to send: reads ahead from the file, behind room for the frame header, asks the upload
// limit, and keeps at most two blocks in a socket. One runner a file; it decides nothing about who gets what.
import { BLOCK_SIZE } from '../../codec/limits.ts';
import { BLOCK_FRAME_HEADER_SIZE, writeBlockFrameHeader } from '../../codec/peer-messages.ts';
import type { PieceFile } from '../disk/piece-file.ts';
import type { Limiter } from '../limiter.ts';
import type { NeighbourId, TransferEvent, UploadJob } from '../pieces/types.ts';
import type { BufferPool } from './buffer-pool.ts';
import { type PeerLink, UNSENT_BLOCKS_MAX } from './link.ts';

/** Reads under way or waiting to be sent, of one job. */
const READ_AHEAD = 4;
/** A socket that took nothing for so long while a block waits is full: other receivers may go first. */
const BLOCKED_MS = 20;

interface Part {
  /** Within the piece. */
  readonly offset: number;
  readonly size: number;
  readonly buffer: Buffer;
  isRead: boolean;
  /** No longer wanted: its buffer goes back when the read ends. */
  isDropped: boolean;
}

interface Job {
  readonly neighbour: NeighbourId;
  readonly piece: number;
  readonly lane: Lane;
  /** Still to be read, in order. */
  readonly rest: { offset: number; size: number }[];
  /** Being read or waiting to be sent, in order. */
  readonly ahead: Part[];
  /** Bytes that the limiter granted and that are not sent yet. */
  granted: number;
  isAsking: boolean;
  /** The policy has forgotten it: nothing more is reported. */
  isStopped: boolean;
}

/** One receiver: its jobs run one after the other. */
interface Lane {
  readonly neighbour: NeighbourId;
  readonly link: PeerLink;
  readonly jobs: Job[];
  awaitsBuffer: boolean;
  blockedTimer: NodeJS.Timeout | null;
  isBlocked: boolean;
}

export interface UploadRunnerOptions {
  readonly file: PieceFile;
  readonly limiter: Limiter;
  readonly buffers: BufferPool;
  readonly report: (event: TransferEvent) => void;
  readonly onContent: (bytes: number) => void;
}

export class UploadRunner {
  readonly #options: UploadRunnerOptions;
  readonly #lanes = new Map<NeighbourId, Lane>();

  constructor(options: UploadRunnerOptions) {
    this.#options = options;
  }

  linkUp(neighbour: NeighbourId, link: PeerLink): void {
    this.#lanes.set(neighbour, {
      neighbour,
      link,
      jobs: [],
      awaitsBuffer: false,
      blockedTimer: null,
      isBlocked: false,
    });
  }

  linkDown(neighbour: NeighbourId): void {
    const lane = this.#lanes.get(neighbour);
    if (!lane) return;
    this.#lanes.delete(neighbour);
    if (lane.blockedTimer) clearTimeout(lane.blockedTimer);
    for (const job of lane.jobs.splice(0)) this.#drop(job);
  }

  start({ neighbour, piece, runs, reverse }: UploadJob): void {
    const lane = this.#lanes.get(neighbour);
    if (!lane) return;
    const pieceSize = this.#options.file.place(piece).size;
    const blocks = runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i));
    if (reverse) blocks.reverse();
    const rest = blocks.map((block) => {
      const offset = block * BLOCK_SIZE;
      return { offset, size: Math.min(pieceSize - offset, BLOCK_SIZE) };
    });
    const job: Job = { neighbour, piece, lane, rest, ahead: [], granted: 0, isAsking: false, isStopped: false };
    lane.jobs.push(job);
    if (lane.jobs[0] === job) this.#pump(lane);
  }

  stop(neighbour: NeighbourId, piece: number): void {
    const lane = this.#lanes.get(neighbour);
    const index = lane?.jobs.findIndex((job) => job.piece === piece) ?? -1;
    if (!lane || index < 0) return;
    // The other side counts on whole blocks: the one that was begun is finished.
    const job = lane.jobs[index]!;
    job.isStopped = true;
    this.#cutAfterBlock(job);
    if (job.rest.length + job.ahead.length > 0) return;
    this.#refund(job, 0);
    lane.jobs.splice(index, 1);
    this.#pump(lane);
  }

  close(): void {
    for (const neighbour of [...this.#lanes.keys()]) this.linkDown(neighbour);
  }

  #pump(lane: Lane): void {
    const job = lane.jobs[0];
    if (!job) return this.#unblock(lane);
    this.#readAhead(job);
    while (lane.jobs[0] === job && job.ahead[0]?.isRead) {
      if (lane.link.unsentBlocks >= UNSENT_BLOCKS_MAX) return this.#noteFull(lane);
      if (job.ahead[0].size > this.#releaseSize) return this.#readAgain(job);
      if (!this.#isGranted(job)) return;
      this.#sendNext(job);
    }
  }

  #readAhead(job: Job): void {
    const { file, buffers } = this.#options;
    while (job.ahead.length < READ_AHEAD && job.rest.length > 0) {
      const buffer = buffers.take();
      if (!buffer) return this.#awaitBuffer(job.lane);
      const { offset, size } = this.#cutNext(job.rest);
      const part: Part = { offset, size, buffer, isRead: false, isDropped: false };
      job.ahead.push(part);
      const position = file.place(job.piece).position + offset;
      file.read({ into: buffer, at: BLOCK_FRAME_HEADER_SIZE, size, position }, (error) => {
        if (part.isDropped) return buffers.give(buffer);
        part.isRead = true;
        if (error) return this.#failed(job);
        if (job.lane.jobs[0] === job) this.#pump(job.lane);
      });
    }
  }

  get #releaseSize(): number {
    return this.#options.limiter.releaseSize(BLOCK_SIZE);
  }

  /** As much of the first block, or of what is left of it, as may be released at a time. */
  #cutNext(rest: { offset: number; size: number }[]): { offset: number; size: number } {
    const { offset, size: left } = rest.shift()!;
    const size = Math.min(left, this.#releaseSize);
    if (size < left) rest.unshift({ offset: offset + size, size: left - size });
    return { offset, size };
  }

  /** The limit was lowered: what was read ahead is too much for one release. */
  #readAgain(job: Job): void {
    const parts = job.ahead.splice(0);
    job.rest.unshift(...parts.map(({ offset, size }) => ({ offset, size })));
    this.#dropParts(parts);
    this.#readAhead(job);
  }

  #awaitBuffer(lane: Lane): void {
    if (lane.awaitsBuffer) return;
    lane.awaitsBuffer = true;
    this.#options.buffers.whenFree(() => {
      lane.awaitsBuffer = false;
      this.#pump(lane);
    });
  }

  #isGranted(job: Job): boolean {
    if (job.granted > 0) return true;
    if (job.isAsking) return false;
    const { lane, ahead } = job;
    const { size } = ahead[0]!;
    const isNow = this.#options.limiter.take(size, lane.link.userId, () => {
      job.isAsking = false;
      job.granted = size;
      if (!lane.jobs.includes(job)) this.#refund(job, 0);
      else if (lane.jobs[0] === job) this.#pump(lane);
    });
    job.granted = isNow ? size : 0;
    job.isAsking = !isNow;
    return isNow;
  }

  #refund(job: Job, used: number): void {
    if (job.granted > used) this.#options.limiter.refund(job.granted - used);
    job.granted = 0;
  }

  #sendNext(job: Job): void {
    const { lane, piece } = job;
    const { offset, size, buffer } = job.ahead.shift()!;
    this.#refund(job, size);
    writeBlockFrameHeader(buffer, { piece, offset, size });
    this.#options.onContent(size);
    lane.link.sendContent(buffer.subarray(0, BLOCK_FRAME_HEADER_SIZE + size), () => {
      this.#options.buffers.give(buffer);
      if (this.#lanes.get(lane.neighbour) !== lane) return;
      this.#unblock(lane);
      this.#pump(lane);
    });
    if (job.rest.length + job.ahead.length > 0) return this.#readAhead(job);
    lane.jobs.shift();
    if (!job.isStopped) this.#options.report({ type: 'upload-sent', neighbour: job.neighbour, piece });
    this.#pump(lane);
  }

  #failed(job: Job): void {
    const { lane, neighbour, piece } = job;
    const index = lane.jobs.indexOf(job);
    if (index >= 0) lane.jobs.splice(index, 1);
    this.#drop(job);
    if (!job.isStopped) this.#options.report({ type: 'upload-failed', neighbour, piece });
    this.#pump(lane);
  }

  #cutAfterBlock(job: Job): void {
    const begun = job.ahead[0] ?? job.rest[0];
    const isWithin = begun !== undefined && begun.offset % BLOCK_SIZE !== 0;
    const end = isWithin ? (Math.floor(begun.offset / BLOCK_SIZE) + 1) * BLOCK_SIZE : 0;
    const isNeeded = (part: { offset: number }) => isWithin && part.offset >= begun.offset && part.offset < end;
    this.#dropParts(job.ahead.filter((part) => !isNeeded(part)));
    job.ahead.splice(0, job.ahead.length, ...job.ahead.filter(isNeeded));
    job.rest.splice(0, job.rest.length, ...job.rest.filter(isNeeded));
  }

  #drop(job: Job): void {
    this.#refund(job, 0);
    this.#dropParts(job.ahead.splice(0));
    job.rest.length = 0;
  }

  #dropParts(parts: readonly Part[]): void {
    for (const part of parts) {
      part.isDropped = true;
      if (part.isRead) this.#options.buffers.give(part.buffer);
    }
  }

  #noteFull(lane: Lane): void {
    if (lane.isBlocked || lane.blockedTimer) return;
    lane.blockedTimer = setTimeout(() => {
      lane.blockedTimer = null;
      lane.isBlocked = true;
      this.#options.report({ type: 'upload-blocked', neighbour: lane.neighbour });
    }, BLOCKED_MS);
  }

  #unblock(lane: Lane): void {
    if (lane.blockedTimer) clearTimeout(lane.blockedTimer);
    lane.blockedTimer = null;
    if (!lane.isBlocked) return;
    lane.isBlocked = false;
    this.#options.report({ type: 'upload-writable', neighbour: lane.neighbour });
  }
}
