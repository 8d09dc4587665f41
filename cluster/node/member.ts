// A tracker as a member of its cluster: engine, presence, snapshots, care for other members, and the context that its servers
// work with. Exists from the moment the tracker belongs to a cluster.
import type { Logger } from 'pino';
import type { Address } from '../../codec/ids.ts';
import { LEASE_REPORT_MS } from '../../codec/limits.ts';
import { LEASES_PER_REPORT_MAX, PROGRESS_PER_REPORT_MAX } from '../../codec/tracker-link.ts';
import type { InstallSnapshot } from '../raft/messages.ts';
import type { Membership, RoleChange } from '../raft/types.ts';
import { onlineSessions } from '../state/lookups.ts';
import type { State } from '../state/state.ts';
import type { Store } from '../store/store.ts';
import { Administrator } from './administrator.ts';
import { clusterStatus, otherClocks, ownRow } from './cluster-status.ts';
import { HistoryKeeper } from './history-keeper.ts';
import { Leases, type Progress } from './leases.ts';
import type { Links } from './links.ts';
import { Passwords } from './passwords.ts';
import { RaftEngine } from './raft-engine.ts';
import { Reconciler } from './reconciler.ts';
import { currentMembers } from './roster.ts';
import { AddressBudgets } from './server/address-budgets.ts';
import type { ServerContext } from './server/context.ts';
import { PeerReports } from './server/peer-reports.ts';
import { WatchHub } from './server/watch-hub.ts';
import { COMMAND_MS_DEFAULT, type SnapshotSettings } from './settings.ts';
import { SnapshotMaker } from './snapshot-maker.ts';
import { SnapshotReceiver, SnapshotSender } from './snapshot-transfer.ts';
import { StateCheck } from './state-check.ts';
import type { ClusterKey } from './tls.ts';

/** A planned stop waits this long for another leader, and for answers under way. */
const HAND_OVER_MS = 500;
/** A report that takes longer than the next one is due is of no use. */
const REPORT_MS = LEASE_REPORT_MS;

export interface MemberOptions {
  readonly number: number;
  readonly store: Store;
  readonly state: State;
  readonly links: Links;
  readonly key: ClusterKey;
  readonly log: Logger;
  readonly snapshots: SnapshotSettings;
  /** This tracker has just founded the cluster as the first of it. */
  readonly isFirst: boolean;
  readonly retainEvents: number | null;
  /** What is out of the ordinary with this tracker; null when nothing is. */
  readonly note: () => string | null;
  readonly onFatal: (error: unknown) => void;
  readonly onMembership: (membership: Membership) => void;
}

export class Member {
  readonly engine: RaftEngine;
  readonly administrator: Administrator;
  readonly context: ServerContext;
  readonly leases: Leases;
  readonly receiver: SnapshotReceiver;
  readonly stateCheck: StateCheck;
  readonly #options: MemberOptions;
  readonly #sender: SnapshotSender;
  readonly #maker: SnapshotMaker;
  readonly #reconciler: Reconciler;
  readonly #history: HistoryKeeper;
  #timer: NodeJS.Timeout | undefined;
  #expiring = false;
  #eager: boolean;

  constructor(options: MemberOptions) {
    const { store, state, links, log, key, number, onFatal } = options;
    this.#options = options;
    this.#eager = options.isFirst;
    this.engine = new RaftEngine({
      store,
      state,
      links,
      log,
      onRoleChange: (change) => this.#onRoleChange(change),
      onMembership: (membership) => {
        options.onMembership(membership);
        this.context?.watches.membersChanged();
      },
      onSnapshotToSend: (message) => this.#sendSnapshot(message),
      onTick: () => this.#maker.look(),
      onFatal,
    });
    this.leases = new Leases((session, group, file) => {
      const daemon = this.engine.state.sessions.get(session)?.daemon;
      if (daemon) this.context.watches.availabilityChanged(group, file, daemon);
    });
    this.administrator = new Administrator(this.engine, links);
    this.receiver = new SnapshotReceiver(store, links);
    this.#sender = new SnapshotSender(store, links, log, onFatal);
    this.#maker = new SnapshotMaker(store, this.engine.driver, log, options.snapshots, () => this.receiver.isBusy);
    const { cluster_id, founding } = store.identity;
    this.#reconciler = new Reconciler({ engine: this.engine, links, log, clusterId: cluster_id!, founders: founding });
    this.context = {
      engine: this.engine,
      state: () => this.engine.state,
      manifests: store.manifests,
      leases: this.leases,
      passwords: new Passwords(),
      key,
      watches: new WatchHub(this.engine),
      budgets: new AddressBudgets(),
      reports: new PeerReports(),
      log,
      members: () => membersOf(this.engine.membership),
      otherClocks: () => otherClocks(number, this.engine, links),
      clusterStatus: () => clusterStatus(ownRow(number, this.engine, options.note()), this.engine, links),
    };
    this.#history = new HistoryKeeper(store, links, log, options.retainEvents);
    this.stateCheck = new StateCheck({ engine: this.engine, links, log, onDiverged: onFatal });
    this.engine.watch((applied) => {
      if (applied) return;
      this.#maker.abandon();
      this.#history.onSnapshotInstalled();
    });
  }

  start(): void {
    this.engine.start();
    this.#timer = setInterval(() => this.#everySecond(), LEASE_REPORT_MS);
  }

  /** Before a planned stop. */
  async sayGoodbye(): Promise<void> {
    await this.engine.handOver(HAND_OVER_MS);
    this.engine.driver.noteCommit();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#maker.abandon();
    this.engine.stop();
  }

  onLinkUp(): void {
    this.engine.onLinkUp();
    void this.#reconciler.look();
    this.#campaignWhenConnected();
  }

  /** A cluster has just formed and nobody leads: its first tracker need not wait out an election timeout. */
  #campaignWhenConnected(): void {
    if (!this.#eager || this.engine.status().term > 0) return;
    const { voters } = this.engine.membership;
    const { links } = this.#options;
    const up = voters.filter((node) => node === this.engine.id || links.byNode(node)?.hello?.cluster_id);
    if (up.length < voters.length) return;
    this.#eager = false;
    this.engine.driver.campaign();
  }

  #onRoleChange({ role }: RoleChange): void {
    if (role === 'leader') this.leases.startAfresh(performance.now());
  }

  #everySecond(): void {
    this.#reportLeases();
    this.engine.driver.noteCommitWhenIdle();
    if (this.engine.isLeader) void this.#expireLeases();
    else this.leases.prune(performance.now());
    void this.#reconciler.look();
    void this.stateCheck.look();
    void this.#history.look();
  }

  #reportLeases(): void {
    const writable = (row: Progress): [string, string, string, number] => [...row];
    for (const { leases, progress, shortfalls } of this.leases.takeReports(
      LEASES_PER_REPORT_MAX,
      PROGRESS_PER_REPORT_MAX,
    )) {
      const report = {
        sessions: leases.map(([session, epoch]): [string, number] => [session, epoch]),
        downloads: progress.map(writable),
        // A tracker of an earlier version knows no such field.
        ...(shortfalls.length > 0 && { shortfalls: shortfalls.map(writable) }),
      };
      for (const { rpc } of this.#options.links.all) {
        rpc?.call('report_leases', report, { timeoutMs: REPORT_MS }).catch(() => {});
      }
    }
  }

  async #expireLeases(): Promise<void> {
    const sessions = this.leases.expired(onlineSessions(this.engine.state), performance.now());
    if (sessions.length === 0 || this.#expiring) return;
    this.#expiring = true;
    const nobody = { fingerprint: null, session: null };
    const command = { type: 'expire', clientId: null, seq: 0, acked: 0, actor: nobody, payload: { sessions } } as const;
    try {
      await this.engine.propose(command, { timeoutMs: COMMAND_MS_DEFAULT });
    } catch (error) {
      this.#options.log.debug({ err: error }, 'an expiry was not logged'); // looked at again in a second
    } finally {
      this.#expiring = false;
    }
  }

  #sendSnapshot(message: InstallSnapshot): void {
    void this.#sender.send(message, (index, ok) => {
      this.engine.driver.input({ type: 'snapshot_sent', to: message.to, index, ok });
    });
  }
}

function membersOf(membership: Membership): { number: number; address: Address }[] {
  return currentMembers(membership).map(({ number, host, port }) => ({ number, address: { host, port } }));
}
