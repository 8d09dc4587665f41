// What a command's handler works with: the state, who speaks, and the list of events. A handler checks everything first, then changes
// the state and reports events; an MtError that it throws before the first change becomes the reply.

import { requireSession } from './guards.ts';
import type { Session } from './records.ts';
import type { State } from './state.ts';
import type { Actor, StateEvent } from './types.ts';

export class Transaction {
  readonly state: State;
  readonly actor: Actor;
  readonly events: StateEvent[] = [];
  /** The user on whose behalf it ran, once known. */
  by: string | null = null;

  constructor(state: State, actor: Actor) {
    this.state = state;
    this.actor = actor;
  }

  /** Log index of the command: unique and growing, so it serves as epoch and as joining order. */
  get index(): number {
    return this.state.index;
  }

  /** Unix ms. */
  get now(): number {
    return this.state.now;
  }

  /** @throws MtError NOT_LOGGED_IN. */
  session(): Session {
    const session = requireSession(this.state, this.actor);
    this.by = session.daemon.user.id;
    return session;
  }

  emit(event: StateEvent): void {
    this.events.push(event);
  }
}
