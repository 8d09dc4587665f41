// Is a history of concurrent operations linearizable? Wing and Gong's search with Lowe's memoisation, as in Porcupine
// (A. Athalye, 2017): a time-ordered list of calls and returns; lift any call whose return has not passed if the model
// allows it and (lifted set, state) is new; backtrack at a return that cannot be reached.

export interface Operation<In, Out> {
  readonly client: number;
  readonly input: In;
  /** Undefined: nobody knows (time-out, lost reply); any output fits, at any later time or never. */
  readonly output: Out | undefined;
  readonly callAt: number;
  /** Infinity while unknown. */
  readonly returnAt: number;
}

export interface Model<State, In, Out> {
  readonly initial: State;
  /** The next state if `output` is a right answer to `input` in `state` (undefined fits always), else null. */
  step(state: State, input: In, output: Out | undefined): State | null;
  /** Equal states give equal strings. */
  hash(state: State): string;
  /** Operations on different keys do not touch each other: they are checked apart. */
  key(input: In): string;
}

export type Verdict<In, Out> =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly key: string;
      /** The operations of that key, by call time. */
      readonly operations: readonly Operation<In, Out>[];
      /** The longest prefix of a linearization that was found, as indexes into `operations`. */
      readonly longest: readonly number[];
    };

export function checkLinearizable<S, In, Out>(
  history: readonly Operation<In, Out>[],
  model: Model<S, In, Out>,
): Verdict<In, Out> {
  const byKey = new Map<string, Operation<In, Out>[]>();
  for (const operation of history) {
    const key = model.key(operation.input);
    const list = byKey.get(key);
    if (list) list.push(operation);
    else byKey.set(key, [operation]);
  }
  for (const [key, operations] of byKey) {
    operations.sort((a, b) => a.callAt - b.callAt);
    const longest = search(operations, model);
    if (longest) return { ok: false, key, operations, longest };
  }
  return { ok: true };
}

interface Node {
  readonly id: number;
  readonly at: number;
  /** For a call: its return. For a return: null. */
  readonly match: Node | null;
  prev: Node | null;
  next: Node | null;
}

/** @returns null when linearizable, else the longest prefix found. */
function search<S, In, Out>(operations: readonly Operation<In, Out>[], model: Model<S, In, Out>): number[] | null {
  const head = buildList(operations);
  const lifted = new Uint32Array(Math.ceil(operations.length / 32));
  const seen = new Set<string>();
  const stack: { call: Node; state: S }[] = [];
  let longest: number[] = [];
  let state = model.initial;
  let node = head.next;
  // Operations that nobody knows the end of need not take effect: it is enough to lift all that returned.
  let due = operations.filter((operation) => operation.output !== undefined).length;

  while (due > 0) {
    if (node?.match) {
      const operation = operations[node.id]!;
      const next = model.step(state, operation.input, operation.output);
      if (next !== null) {
        lifted[node.id >> 5]! |= 1 << (node.id & 31);
        const memo = `${lifted.join(',')}|${model.hash(next)}`;
        if (!seen.has(memo)) {
          seen.add(memo);
          stack.push({ call: node, state });
          if (stack.length > longest.length) longest = stack.map(({ call }) => call.id);
          state = next;
          lift(node);
          if (operation.output !== undefined) due -= 1;
          node = head.next;
          continue;
        }
        lifted[node.id >> 5]! &= ~(1 << (node.id & 31));
      }
      node = node.next;
      continue;
    }
    // A return whose call was not lifted, or the end: undo the last choice.
    const last = stack.pop();
    if (!last) return longest;
    state = last.state;
    lifted[last.call.id >> 5]! &= ~(1 << (last.call.id & 31));
    unlift(last.call);
    if (operations[last.call.id]!.output !== undefined) due += 1;
    node = last.call.next;
  }
  return null;
}

function buildList<In, Out>(operations: readonly Operation<In, Out>[]): Node {
  const nodes: Node[] = [];
  for (const [id, operation] of operations.entries()) {
    const end: Node = { id, at: operation.returnAt, match: null, prev: null, next: null };
    nodes.push({ id, at: operation.callAt, match: end, prev: null, next: null }, end);
  }
  // At equal times calls come first: such operations overlap.
  nodes.sort((a, b) => (a.at === b.at ? Number(!a.match) - Number(!b.match) : a.at < b.at ? -1 : 1));
  const head: Node = { id: -1, at: -1, match: null, prev: null, next: null };
  let last = head;
  for (const node of nodes) {
    last.next = node;
    node.prev = last;
    last = node;
  }
  return head;
}

function lift(call: Node): void {
  unlink(call);
  unlink(call.match!);
}

function unlift(call: Node): void {
  relink(call.match!);
  relink(call);
}

function unlink(node: Node): void {
  node.prev!.next = node.next;
  if (node.next) node.next.prev = node.prev;
}

function relink(node: Node): void {
  node.prev!.next = node;
  if (node.next) node.next.prev = node;
}
