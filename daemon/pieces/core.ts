/**
 * What the two halves of the policy (uploader.ts, receiver.ts) share: the file's geometry, the neighbour table, the news, the
 * time of the current step, and the list of actions that the step answers. Decides nothing.
 */
import type { Geometry } from './geometry.ts';
import type { PieceMessage } from './messages.ts';
import type { Neighbour, NeighbourTable } from './neighbour-table.ts';
import { News } from './news.ts';
import type { BanReason, LinkRole, NeighbourId, TransferAction } from './types.ts';

export class Core {
  readonly geometry: Geometry;
  readonly table: NeighbourTable;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly news: News;
  /** The clock of the current step. */
  nowMs = 0;
  private actions: TransferAction[] = [];
  private readonly condemned = new Map<Neighbour, BanReason>();

  constructor(geometry: Geometry, table: NeighbourTable, random: () => number) {
    this.geometry = geometry;
    this.table = table;
    this.random = random;
    this.news = new News(this);
  }

  act(action: TransferAction): void {
    this.actions.push(action);
  }

  send(neighbour: NeighbourId, role: LinkRole, message: PieceMessage): void {
    this.actions.push({ type: 'send', neighbour, role, message });
  }

  /** Takes effect at the end of the event, so that nobody's entry vanishes while it is being looked at. */
  ban(neighbour: Neighbour, reason: BanReason): void {
    this.condemned.set(neighbour, reason);
  }

  takeCondemned(): [Neighbour, BanReason][] {
    const taken = [...this.condemned];
    this.condemned.clear();
    return taken;
  }

  takeActions(): TransferAction[] {
    const taken = this.actions;
    this.actions = [];
    return taken;
  }
}
