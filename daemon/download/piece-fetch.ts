// Fetches some pieces of a file into a file of its own, to mend one that is shared from here: verified, and served to nobody. Dials
// like a download; the trackers are told nothing, for this daemon shares the file already.
import type { SecureContext } from 'node:tls';
import type { Logger } from 'pino';
import { MtError } from '../../codec/errors.ts';
import type { Manifest } from '../../codec/manifest.ts';
import { fileError } from '../disk/disk-error.ts';
import { PieceFile } from '../disk/piece-file.ts';
import { Swarm, type SwarmResources } from '../peer/swarm.ts';
import { Bitfield } from '../pieces/bitfield.ts';
import { findSpaceProblem } from './destination.ts';
import { explainStandstill } from './reasons.ts';
import { Sources } from './sources.ts';
import type { DataPlanePorts, FileRef } from './types.ts';

const LOOK_MS = 250;
/** Without a piece for so long, others have their turn. */
const PATIENCE_MS = 60_000;
/** Content that came so recently counts as moving. */
const MOVING_MS = 3_000;

export interface FetchContext {
  readonly ports: DataPlanePorts;
  readonly resources: SwarmResources;
  readonly tls: SecureContext;
  readonly log: Logger;
}

export interface FetchRequest {
  readonly file: FileRef;
  readonly manifest: Manifest;
  readonly manifestHash: Uint8Array;
  readonly pieces: readonly number[];
  /** Where they go: at their places in a sparse file; its map lies beside it. */
  readonly partPath: string;
  readonly mapPath: string;
  readonly signal: AbortSignal;
  /** Why nothing moves; null: it does. */
  readonly onNews: (why: string | null) => void;
}

/**
 * The pieces, verified, in an open file that the caller closes and removes.
 * @throws MtError NO_SEEDERS, DISK_FULL, CANCELLED; as the trackers refuse.
 */
export async function fetchPieces(context: FetchContext, request: FetchRequest): Promise<PieceFile> {
  const { manifest, manifestHash, pieces, partPath, mapPath } = request;
  const { file } = await PieceFile.openPart(partPath, mapPath, { manifest, manifestHash });
  try {
    const bytes = pieces.reduce((sum, piece) => sum + file.place(piece).size, 0);
    const problem = await findSpaceProblem(partPath, bytes);
    if (problem) throw problem;
    await fetchInto(file, context, request);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function fetchInto(file: PieceFile, context: FetchContext, request: FetchRequest): Promise<void> {
  const { ports, resources, tls, log } = context;
  const { manifest, manifestHash, pieces, signal, partPath, onNews } = request;
  const have = Bitfield.full(manifest.pieceCount);
  for (const piece of pieces) have.clear(piece);
  await new Promise<void>((resolve, reject) => {
    let sources: Sources | null = null;
    let verified = have.count;
    let progressAtMs = performance.now();
    const end = (error: MtError | null) => {
      clearInterval(timer);
      signal.removeEventListener('abort', onAbort);
      sources?.close();
      swarm.close();
      if (error) reject(error);
      else resolve();
    };
    const onAbort = () => end(new MtError('CANCELLED', 'The repair was given up'));
    const swarm = new Swarm({
      ...resources,
      file,
      have: have.toBytes(),
      // The whole is not here: its pieces speak for themselves.
      hash: { onVerified: (_piece, _slot, done) => done() },
      events: {
        onComplete: () => end(null),
        onSourceLost: (link, error) => sources?.lost(link, error),
        onDiskError: (cause) => end(fileError(cause, partPath)),
        onBanned: ({ userId }, reason) =>
          log.warn({ file: request.file.fileName, user: userId, reason }, 'a peer was banned'),
        onTicket: () => {},
      },
    });
    sources = new Sources(
      {
        file: request.file,
        manifestHash,
        context: tls,
        ownFingerprint: ports.identity.fingerprint,
        onlyUser: null,
        trackers: ports.trackers,
        isBanned: (fingerprint) => swarm.isBanned(fingerprint),
        onLink: (link) => swarm.addLink(link),
        onTicket: (ticket) => {
          for (const link of swarm.links('download')) link.sendTicket(ticket);
        },
        onRefused: end,
        log,
      },
      null,
    );
    const known = sources;
    const timer = setInterval(() => {
      const { piecesVerified } = swarm.stats;
      if (piecesVerified > verified) progressAtMs = performance.now();
      verified = piecesVerified;
      const why = explainStandstill(
        { sources: known, swarm },
        { trackers: ports.trackers, onlyUser: null, limit: resources.downLimiter.rate },
      );
      onNews(swarm.sourcesWithin(MOVING_MS) > 0 ? null : why.text);
      if (performance.now() - progressAtMs > PATIENCE_MS) end(new MtError('NO_SEEDERS', why.text));
    }, LOOK_MS);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}
