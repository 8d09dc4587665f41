// One tracker: puts store, links, engine and servers together, and takes them through its life: listening, forming or joining a
// cluster, serving, stopping. Everything with a rule of its own is in a file of its own.
import type { Logger } from 'pino';
import { ADMIN_NUMBER } from '../../codec/admin-api.ts';
import type { TlsIdentity } from '../../codec/identity.ts';
import type { Address } from '../../codec/ids.ts';
import type { Handlers } from '../../codec/rpc.ts';
import type { AdmissionLimits } from '../../codec/service/admission.ts';
import type { Founder, LinkApi, TrackerAt } from '../../codec/tracker-link.ts';
import type { TrackerHello } from '../../codec/tracker-rpc.ts';
import type { Membership } from '../raft/types.ts';
import { isBrokenDisk, isDamage } from '../store/database.ts';
import { loadState } from '../store/replay.ts';
import { Store } from '../store/store.ts';
import { AdminServer } from './admin-server.ts';
import { sha256 } from './digest.ts';
import { Formation } from './formation.ts';
import { makeLinkHandlers } from './link-server.ts';
import { Links } from './links.ts';
import { Member } from './member.ts';
import type { RaftEngine } from './raft-engine.ts';
import { rosterOf } from './roster.ts';
import { DaemonServer } from './server/daemon-server.ts';
import { randomToken } from './server/tokens.ts';
import { CONNECTIONS_DEFAULT, SNAPSHOTS_DEFAULT, type SnapshotSettings } from './settings.ts';
import { type ClusterKey, type Listener, listen, makeIdentity } from './tls.ts';

/** With fewer, the failure of one tracker stops all. */
const VOTERS_MIN = 3;

export interface TrackerConfig {
  readonly number: number;
  /** Of the tracker file: tracker N is addresses[N - 1]. */
  readonly addresses: readonly Address[];
  /** Where to listen; the address of the file unless the user said otherwise. */
  readonly listen: Address;
  readonly dataDir: string;
  readonly key: ClusterKey;
  readonly log: Logger;
  readonly snapshots?: SnapshotSettings;
  /** How many events of the past to keep at least; null or absent: all. */
  readonly retainEvents?: number | null;
  readonly connections?: AdmissionLimits;
  /** Why it starts afresh, when its data was set aside: shown until it is a voter again. */
  readonly note?: string;
  /** The cluster removed this tracker: it must stop. */
  readonly onRemoved?: () => void;
  /** Something that must not be: the process cannot go on. */
  readonly onFatal: (error: unknown) => void;
  /** Called every few ms while what is on disk is loaded, and the event loop waits. */
  readonly onLoading?: () => void;
  /** Told how long each durable commit took, in ms. */
  readonly onCommit?: (elapsedMs: number) => void;
}

export class Tracker {
  readonly #config: TrackerConfig;
  readonly #store: Store;
  readonly #links: Links;
  readonly #daemons: DaemonServer;
  readonly #admins: AdminServer;
  #server: Listener | null = null;
  #formation: Formation | null = null;
  #member: Member | null = null;
  /** Where the members are, as the leader told: for a learner whose log does not say it yet, and whose file may name nobody that is left. */
  #told: readonly TrackerAt[] = [];
  #becameMember!: () => void;
  /** Resolves when this tracker belongs to a cluster and its data is loaded. */
  readonly ready: Promise<void>;

  /** Opens the data directory, listens, and begins. @throws MtError when it cannot. */
  static async start(config: TrackerConfig): Promise<Tracker> {
    const identity = await makeIdentity(config.key, config.number);
    const store = new Store(config.dataDir, config.number, randomToken());
    const tracker = new Tracker(config, store, identity);
    try {
      await tracker.#begin(identity);
      return tracker;
    } catch (error) {
      await tracker.abort();
      throw error;
    }
  }

  private constructor(config: TrackerConfig, store: Store, identity: TlsIdentity) {
    this.#config = config;
    this.#store = store;
    const { key, log } = config;
    if (config.onCommit) store.onCommit = config.onCommit;
    const hello = () => this.#hello();
    this.ready = new Promise((resolve) => {
      this.#becameMember = resolve;
    });
    this.#links = new Links(
      { identity, key, log, hello },
      {
        onMessage: (message) => this.#member?.engine.onMessage(message),
        onProposals: (from, proposals) => this.#member?.engine.onProposals(from, proposals),
        onOutcomes: (outcomes) => this.#member?.engine.onOutcomes(outcomes),
        onUp: () => this.#member?.onLinkUp(),
        onDown: (_number, theirs) => this.#member?.engine.onLinkDown(theirs.incarnation),
        linkHandlers: (from) => this.#linkHandlers(from),
        attachment: (entry) => this.#store.log.attachment(entry),
        onInternalError: (error) => this.#onInternalError(error),
      },
    );
    const served = {
      hello,
      onInternalError: (error: unknown) => this.#onInternalError(error),
      whyNot: () => this.#formation?.waitingFor ?? '',
    };
    this.#daemons = new DaemonServer({
      ...served,
      context: () => this.#member?.context ?? null,
      isStale: () => this.#member?.engine.isStale ?? false,
    });
    this.#admins = new AdminServer({ ...served, member: () => this.#member });
  }

  /** See Store.limitPages: a quota for this tracker's disk. */
  limitPages(pages: number): void {
    this.#store.limitPages(pages);
  }

  /** Where it listens. */
  get address(): Address {
    const { host, port } = this.#config.listen;
    return { host, port: this.#server?.port ?? port };
  }

  /** The engine, once this tracker belongs to a cluster. */
  get engine(): RaftEngine | null {
    return this.#member?.engine ?? null;
  }

  /** What it waits for, while its cluster has not formed. */
  get waitingFor(): string {
    return this.#formation?.waitingFor ?? '';
  }

  /** Connections that are up now. */
  get connections(): { readonly daemons: number; readonly trackers: number } {
    const trackers = [...this.#links.all].filter((link) => link.rpc !== null).length;
    return { daemons: this.#daemons.connectionCount, trackers };
  }

  /** A clean stop: nobody is served any more, everything is on disk. */
  async stop(): Promise<void> {
    await this.#member?.sayGoodbye();
    await this.abort();
  }

  /** A stop without goodbye: where the data cannot be trusted, nothing more is said or written. */
  async abort(): Promise<void> {
    this.#formation?.stop();
    this.#member?.stop();
    // Before the links are cut: daemons that lose theirs dial again within milliseconds.
    const closed = this.#server?.close();
    this.#daemons.close();
    this.#admins.close();
    this.#links.close();
    await closed;
    this.#store.close();
  }

  async #begin(identity: TlsIdentity): Promise<void> {
    const { number, addresses, key, log, connections = CONNECTIONS_DEFAULT } = this.#config;
    this.#server = await listen(this.#config.listen, identity, key, connections, (socket, role, known) => {
      if (role.role === 'tracker' && role.number === ADMIN_NUMBER) this.#admins.accept(socket);
      else if (role.role === 'tracker') this.#links.accept(socket, role.number);
      else this.#daemons.accept(socket, role.fingerprint, known);
    });
    if (addresses.length < VOTERS_MIN)
      log.warn(`with ${addresses.length} of ${VOTERS_MIN} trackers, no failure is tolerated`);
    if (this.#store.identity.cluster_id !== null) {
      this.#startMember(false);
      return;
    }
    this.#links.setPeers(peersOf(addresses, number));
    this.#formation = new Formation({
      number,
      incarnation: this.#store.identity.incarnation,
      addresses,
      links: this.#links,
      onlyJoins: this.#whyOnlyJoins(),
      log,
      onFounded: (clusterId, founders) => this.#join(clusterId, founders),
    });
  }

  #whyOnlyJoins(): string | null {
    if (this.#store.origin) return 'holds a backup: it cannot found a cluster, except by mt-trackerd recover';
    return this.#config.addresses[this.#config.number - 1] ? null : 'is not in the tracker file';
  }

  /** What is out of the ordinary with this tracker. */
  #note(): string | null {
    if (this.#member?.engine.driver.isDiskFull) return 'its disk is full: it only reads';
    if (this.#config.note === undefined || this.#isVoter()) return null;
    return this.#config.note;
  }

  #isVoter(): boolean {
    return this.#member?.engine.membership.voters.includes(this.#store.identity.incarnation) ?? false;
  }

  #onRemoved(): void {
    if (this.#member) {
      this.#store.noteRemoved();
      this.#config.onRemoved?.();
    } else this.#config.log.warn(`the cluster has removed tracker ${this.#config.number}: a new one gets a new number`);
  }

  /** A failed request is logged; a disk that cannot be trusted ends it all. */
  #onInternalError(error: unknown): void {
    if (isDamage(error) || isBrokenDisk(error)) this.#config.onFatal(error);
    else this.#config.log.error({ err: error }, 'a request failed');
  }

  /** This tracker belongs to a cluster from now on. */
  #join(clusterId: string, founders: readonly Founder[] | null): void {
    this.#formation?.stop();
    this.#formation = null;
    this.#store.joinCluster(clusterId, founders);
    this.#startMember(founders !== null && this.#config.number === 1);
    this.#config.log.info({ cluster: clusterId }, founders ? 'the cluster has formed' : 'taken in as a learner');
    // Others must hear of it; those who asked get their answer first.
    setTimeout(() => this.#links.redial(), 50);
  }

  #meet(members: readonly TrackerAt[]): void {
    const { number, addresses } = this.#config;
    this.#told = members;
    const membership = this.#member?.engine.membership;
    if (membership) this.#links.setPeers(this.#peersIn(membership, addresses, number));
  }

  #startMember(isFirst: boolean): void {
    const { number, addresses, key, log, onFatal, snapshots = SNAPSHOTS_DEFAULT } = this.#config;
    this.#member = new Member({
      number,
      store: this.#store,
      state: loadState(this.#store, sha256, this.#config.onLoading),
      links: this.#links,
      key,
      log,
      isFirst,
      retainEvents: this.#config.retainEvents ?? null,
      note: () => this.#note(),
      snapshots,
      onFatal,
      onMembership: (membership) => this.#links.setPeers(this.#peersIn(membership, addresses, number)),
    });
    this.#member.start();
    this.#becameMember();
  }

  /** The log says who the members are; the file knows the rest, such as a tracker that waits to be let in. */
  #peersIn(membership: Membership, addresses: readonly Address[], number: number): Map<number, Address> {
    const peers = peersOf(addresses, number);
    const roster = rosterOf(membership);
    for (const entry of roster.length > 0 ? roster : this.#told) {
      if (entry.number !== number) peers.set(entry.number, { host: entry.host, port: entry.port });
    }
    return peers;
  }

  #hello(): TrackerHello {
    const { number, incarnation, cluster_id } = this.#store.identity;
    return { role: 'tracker', number, incarnation, cluster_id };
  }

  #linkHandlers(from: TrackerHello): Handlers<LinkApi> {
    return makeLinkHandlers(from, {
      own: () => this.#hello(),
      formation: () => this.#formation,
      member: () => this.#member,
      manifests: this.#store.manifests,
      history: this.#store.history,
      join: (clusterId) => this.#join(clusterId, null),
      meet: (members) => this.#meet(members),
      onRemoved: () => this.#onRemoved(),
      note: () => this.#note(),
    });
  }
}

function peersOf(addresses: readonly Address[], number: number): Map<number, Address> {
  return new Map(
    [...addresses.entries()].map(([at, address]) => [at + 1, address] as const).filter(([n]) => n !== number),
  );
}
