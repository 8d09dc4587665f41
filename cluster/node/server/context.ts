// What the handlers of the rpc-server work with, and the shape of a handler: who calls is a parameter, so that one table of
// handlers serves all connections.
import type { Logger } from 'pino';
import type * as v from 'valibot';
import type { Address } from '../../../codec/ids.ts';
import type { CallContext, EventOf, Handlers } from '../../../codec/rpc.ts';
import type { TrackerApi, TrackerStatus } from '../../../codec/tracker-rpc.ts';
import type { State } from '../../state/state.ts';
import type { ManifestTable } from '../../store/manifest-table.ts';
import type { OtherClock } from '../cluster-status.ts';
import type { Engine } from '../engine.ts';
import type { Leases } from '../leases.ts';
import type { Passwords } from '../passwords.ts';
import type { ClusterKey } from '../tls.ts';
import type { AddressBudgets } from './address-budgets.ts';
import type { PeerReports } from './peer-reports.ts';
import type { WatchHub } from './watch-hub.ts';

export interface ServerContext {
  readonly engine: Engine;
  /** The state as it is now; a snapshot may replace it, so it is asked for each time. */
  readonly state: () => State;
  readonly manifests: ManifestTable;
  readonly leases: Leases;
  readonly passwords: Passwords;
  readonly key: ClusterKey;
  readonly watches: WatchHub;
  readonly budgets: AddressBudgets;
  readonly reports: PeerReports;
  readonly log: Logger;
  /** Every member with its address, for daemons to remember. */
  readonly members: () => { number: number; address: Address }[];
  readonly clusterStatus: () => Promise<TrackerStatus>;
  /** The clocks of the other trackers against this one's. */
  readonly otherClocks: () => Promise<OtherClock[]>;
}

/** The daemon at the other end of a connection. */
export interface Caller {
  /** Of its TLS key: who it is, whatever it says. */
  readonly fingerprint: string;
  /** IP address of the connection, or its network (codec/service/admission.ts): whom limits count. */
  readonly remote: string;
}

type Output<M extends keyof TrackerApi> = v.InferOutput<TrackerApi[M]['params']>;
export type Handler<M extends keyof TrackerApi> = (
  context: ServerContext,
  caller: Caller,
  params: Output<M>,
  call: CallContext<EventOf<TrackerApi, M>>,
) => ReturnType<Handlers<TrackerApi>[M]>;
export type HandlerTable<M extends keyof TrackerApi = keyof TrackerApi> = { readonly [K in M]: Handler<K> };
