// What the clients of a soak saw, and whether the cluster's final state agrees with it: acknowledged commands are there exactly once,
// failed ones are not, and what each shared group looked like from outside is linearizable. Unknown outcomes may be either.
import { type GroupInput, type GroupOutput, groupsModel } from '../sim/groups-model.ts';
import { checkLinearizable, type Operation } from '../sim/linearizability.ts';

export type Outcome = 'acknowledged' | 'failed' | 'unknown';

export class History {
  /** Groups whose name one request alone has used. */
  readonly unique = new Map<string, { readonly owner: string; readonly outcome: Outcome }>();
  /** Operations on groups that all clients meet in. */
  readonly shared: Operation<GroupInput, GroupOutput>[] = [];
  readonly violations: string[] = [];
  readonly tally: Record<Outcome, number> = { acknowledged: 0, failed: 0, unknown: 0 };

  addUnique(groupId: string, owner: string, outcome: Outcome): void {
    this.unique.set(groupId, { owner, outcome });
    this.tally[outcome]++;
  }

  /** A definite refusal by the rules of groups is an acknowledged answer, too. @param failed nothing was changed. */
  addShared(operation: Operation<GroupInput, GroupOutput>, failed: boolean): void {
    if (!failed) this.shared.push(operation);
    this.tally[failed ? 'failed' : operation.output === undefined ? 'unknown' : 'acknowledged']++;
  }

  /** Commands that were written, reads not counted. */
  get commands(): number {
    return this.unique.size + this.shared.filter(({ input }) => input.op !== 'look').length;
  }

  /** @param listed owner by group, as one tracker lists them after everything. */
  compare(tracker: number, listed: ReadonlyMap<string, string>): void {
    for (const [groupId, { owner, outcome }] of this.unique) {
      const found = listed.get(groupId);
      if (outcome === 'acknowledged' && found === undefined)
        this.violations.push(`LOST: ${groupId} at tracker ${tracker}`);
      if (outcome === 'failed' && found !== undefined) {
        this.violations.push(`${groupId} was refused, but tracker ${tracker} has it`);
      }
      if (found !== undefined && found !== owner) this.violations.push(`${groupId} is ${found}'s, not ${owner}'s`);
    }
    for (const groupId of listed.keys()) {
      if (groupId.startsWith(UNIQUE_PREFIX) && !this.unique.has(groupId)) {
        this.violations.push(`tracker ${tracker} has ${groupId}, which nobody made`);
      }
    }
  }

  /** @returns how many groups were checked. */
  checkShared(): number {
    const verdict = checkLinearizable(this.shared, groupsModel);
    if (!verdict.ok) {
      const { key, operations, longest } = verdict;
      const shown = operations.map(
        ({ client, input, output, callAt, returnAt }) =>
          `    ${callAt.toFixed(1)} to ${returnAt.toFixed(1)} ms, client ${client}: ${JSON.stringify(input)} → ${output ?? 'unknown'}`,
      );
      this.violations.push(
        `group ${key} is not linearizable: ${longest.length} of ${operations.length} operations fit\n${shown.join('\n')}`,
      );
    }
    return new Set(this.shared.map(({ input }) => input.group)).size;
  }
}

export const UNIQUE_PREFIX = 'u-';
