// All links of a tracker: the dialled ones by number, the accepted ones of other trackers. Routes Raft messages by node id (an
// incarnation), so that a tracker whose disk was wiped never gets what was meant for its former self.
import type { TLSSocket } from 'node:tls';
import { toMtError } from '../../codec/errors.ts';
import type { Address } from '../../codec/ids.ts';
import { decodeRaftMessage, encodeEntries, encodeRaftMessage, RAFT_FRAME } from '../../codec/raft-messages.ts';
import { type Handlers, RpcConnection } from '../../codec/rpc.ts';
import {
  decodeOutcomes,
  decodeProposals,
  type ForwardedProposal,
  type LinkApi,
  linkApi,
  linkPayloadMax,
  type Outcome,
  PROPOSE_FRAME,
  PROPOSED_FRAME,
} from '../../codec/tracker-link.ts';
import { type TrackerHello, trackerHelloSchema } from '../../codec/tracker-rpc.ts';
import type { Message } from '../raft/messages.ts';
import type { Entry, NodeId } from '../raft/types.ts';
import { Link, type LinkConnection, type LinkOptions, otherCluster } from './link.ts';
import { LINK_KEEP_ALIVE } from './settings.ts';
import { fromWire, toWire, toWireEntry } from './wire.ts';

/** A tracker that dialled us. */
export interface AcceptedLink {
  readonly hello: TrackerHello;
  /** Answers forwarded commands. */
  send(type: string, payload: Uint8Array): void;
}

export interface LinksHost {
  /** From a member of this cluster. */
  onMessage(message: Message): void;
  onProposals(from: AcceptedLink, proposals: ForwardedProposal[]): void;
  onOutcomes(outcomes: Outcome[]): void;
  onUp(number: number, hello: TrackerHello): void;
  onDown(number: number, hello: TrackerHello): void;
  /** What other trackers may call. */
  linkHandlers(from: TrackerHello): Handlers<LinkApi>;
  attachment(entry: Entry): Uint8Array | null;
  /** A handler threw what is nobody's mistake but ours, or the disk's. */
  onInternalError(error: unknown): void;
}

type Accepted = RpcConnection<Record<never, never>, LinkApi, typeof trackerHelloSchema>;

export class Links {
  readonly #host: LinksHost;
  readonly #options: Omit<LinkOptions, 'onUp' | 'onDown' | 'onFrame'>;
  readonly #links = new Map<number, Link>();
  readonly #byNode = new Map<NodeId, Link>();
  readonly #accepted = new Set<Accepted>();
  /** Links with frames of this turn that have not left yet. */
  readonly #corked = new Set<LinkConnection>();
  #lastEntries: { readonly list: readonly Entry[]; readonly bytes: Uint8Array } | null = null;

  constructor(options: Omit<LinkOptions, 'onUp' | 'onDown' | 'onFrame'>, host: LinksHost) {
    this.#options = options;
    this.#host = host;
  }

  get all(): IterableIterator<Link> {
    return this.#links.values();
  }

  byNumber(number: number): Link | null {
    return this.#links.get(number) ?? null;
  }

  /** The link to that very incarnation, while it is up. */
  byNode(node: NodeId): Link | null {
    return this.#byNode.get(node) ?? null;
  }

  /** Whom to be connected to; own number excluded by the caller. Links that stay are left alone. */
  setPeers(peers: ReadonlyMap<number, Address>): void {
    for (const [number, link] of this.#links) {
      const address = peers.get(number);
      if (address?.host === link.address.host && address.port === link.address.port) continue;
      link.close();
      this.#links.delete(number);
    }
    for (const [number, address] of peers) {
      if (this.#links.has(number)) continue;
      const link = new Link(number, address, {
        ...this.#options,
        onUp: (up) => {
          this.#byNode.set(up.hello!.incarnation, up);
          this.#host.onUp(number, up.hello!);
        },
        onDown: (down, hello) => {
          if (this.#byNode.get(hello.incarnation) === down) this.#byNode.delete(hello.incarnation);
          this.#host.onDown(number, hello);
        },
        onFrame: (from, type, payload) => {
          if (type === PROPOSED_FRAME && from.hello) this.#host.onOutcomes(decodeOutcomes(payload));
        },
      });
      this.#links.set(number, link);
    }
  }

  /** Queues a message; it leaves with `flush`, or at the end of the turn. Silently lost when there is no link: Raft repeats. */
  send(message: Message): void {
    if (message.type === 'install_snapshot') return; // ends the snapshot's own stream
    const rpc = this.#byNode.get(message.to)?.rpc;
    if (!rpc) return;
    const entries = message.type === 'append' ? this.#encoded(message.entries) : undefined;
    rpc.sendParts(RAFT_FRAME, encodeRaftMessage(toWire(message), entries));
    this.#corked.add(rpc);
  }

  /** Followers that are level get the same entries in the same turn: encoded once. */
  #encoded(entries: readonly Entry[]): Uint8Array {
    const last = this.#lastEntries;
    // An entry is never replaced by another object of the same place: equal ends mean equal lists.
    const isSame =
      last?.list.length === entries.length && last.list[0] === entries[0] && last.list.at(-1) === entries.at(-1);
    if (last && isSame) return last.bytes;
    const bytes = encodeEntries(entries.map((entry) => toWireEntry(entry, this.#host.attachment(entry))));
    this.#lastEntries = { list: entries, bytes };
    return bytes;
  }

  /** Lets everything queued in this turn leave now: before a write to the disk blocks the loop. */
  flush(): void {
    for (const rpc of this.#corked) rpc.duplex.uncork();
    this.#corked.clear();
    this.#lastEntries = null;
  }

  /** A socket whose certificate says that it is tracker `number`. */
  accept(socket: TLSSocket, number: number): void {
    socket.on('handlerError', this.#host.onInternalError);
    let peer: AcceptedLink | null = null;
    /** Frames of the chunk that brought the hello: they come before the promise below has told us. */
    let early: [string, Buffer][] = [];
    const connection: Accepted = new RpcConnection(socket, {
      calls: {},
      serves: linkApi,
      handlers: this.#handlersFor(() => connection.ready),
      hello: this.#options.hello(),
      helloSchema: trackerHelloSchema,
      keepAlive: LINK_KEEP_ALIVE,
      extra: {
        payloadMax: linkPayloadMax,
        onFrame: (type, payload) => {
          if (peer) this.#onFrame(peer, type, payload);
          else early.push([type, payload]);
        },
      },
    });
    this.#accepted.add(connection);
    connection.closed.then(() => this.#accepted.delete(connection));
    connection.ready.then(
      (theirs) => {
        const own = this.#options.hello();
        if (theirs.number !== number || (theirs.cluster_id && own.cluster_id && theirs.cluster_id !== own.cluster_id)) {
          this.#options.log.warn({ tracker: number }, otherCluster(number).message);
          connection.close(otherCluster(number));
          return;
        }
        const ready: AcceptedLink = { hello: theirs, send: (type, payload) => connection.send(type, payload) };
        peer = ready;
        // It may just have come back: votes and acknowledgements for it need our own link.
        this.#links.get(number)?.dialNow();
        try {
          for (const [type, payload] of early) this.#onFrame(ready, type, payload);
        } catch (error) {
          connection.close(toMtError(error));
        }
        early = [];
      },
      () => {},
    );
  }

  /** Hello has changed (a cluster was joined): everyone is told by fresh connections. */
  redial(): void {
    for (const link of this.#links.values()) link.redial();
    for (const connection of this.#accepted) connection.close();
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
    for (const connection of this.#accepted) connection.close();
  }

  #onFrame(from: AcceptedLink, type: string, payload: Buffer): void {
    const own = this.#options.hello();
    // Only within one cluster: a stranger's terms and votes mean nothing here.
    if (own.cluster_id === null || from.hello.cluster_id !== own.cluster_id) return;
    if (type === RAFT_FRAME) {
      this.#host.onMessage(fromWire(decodeRaftMessage(payload), from.hello.incarnation, own.incarnation));
    } else if (type === PROPOSE_FRAME) {
      this.#host.onProposals(from, decodeProposals(payload));
    }
  }

  /** Handlers that know who calls. */
  #handlersFor(caller: () => Promise<TrackerHello>): Handlers<LinkApi> {
    const handlers: Record<string, unknown> = {};
    for (const method of Object.keys(linkApi) as (keyof LinkApi)[]) {
      handlers[method] = async (params: never, context: never) => {
        const from = await caller();
        return this.#host.linkHandlers(from)[method](params, context);
      };
    }
    return handlers as Handlers<LinkApi>;
  }
}
