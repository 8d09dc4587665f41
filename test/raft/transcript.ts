/**
 * Plays a transcript: commands against a TestCluster, and what the cores did, in words. See testdata/README.md.
 *
 * Everything that leaves a core is printed when it leaves: messages, writes, commits, answers, changes of role.
 */
import assert from 'node:assert';
import type { Message } from '../../cluster/raft/messages.ts';
import type { Entry, Input, Membership, MembershipChange, NodeId, Output, Write } from '../../cluster/raft/types.ts';
import { TestCluster, type TestNode } from './test-cluster.ts';

export class Transcript {
  #cluster = new TestCluster(0);
  #lines: string[] = [];
  /** Groups of nodes that hear each other; null: all do. */
  #groups: NodeId[][] | null = null;
  #requests: { from: NodeId; to: NodeId; stream: () => void }[] = [];

  /** Runs one command and returns what happened, one line each. */
  run(command: string): string {
    this.#lines = [];
    const [name, ...args] = command.trim().split(/\s+/);
    const act = this.#commands[name!];
    assert(act !== undefined, `no command ${name}`);
    act(args);
    return this.#lines.length === 0 ? 'nothing' : this.#lines.join('\n');
  }

  readonly #commands: Readonly<Record<string, (args: readonly string[]) => void>> = {
    nodes: (args) => this.#nodes(args),
    add: ([id]) => void this.#cluster.addNode(id!),
    elect: ([id]) => {
      this.#cluster.elect(id!);
      this.#lines = [];
    },
    campaign: ([id]) => this.#cluster.campaign(id!),
    propose: ([id, ...texts]) => void this.#cluster.propose(id!, ...texts),
    read: ([id, ref]) => this.#input(id!, { type: 'read', ref: Number(ref) }),
    tick: ([id, count]) => this.#cluster.tick(id!, Number(count ?? 1)),
    deliver: ([link, count]) => this.#deliver(link!, Number(count ?? Number.POSITIVE_INFINITY)),
    repeat: ([link]) => void this.#cluster.messages.push(...this.#on(link!).map((message) => ({ ...message }))),
    drop: ([link]) => this.#drop(link),
    stabilize: (ids) => this.#stabilize(ids),
    partition: (args) => {
      this.#groups = args
        .join(' ')
        .split('|')
        .map((group) => group.trim().split(/\s+/));
    },
    heal: () => {
      this.#groups = null;
    },
    hold: ([id]) => {
      this.#cluster.node(id!).diskHeld = true;
    },
    persist: ([id, count]) => this.#cluster.persist(id!, Number(count ?? Number.POSITIVE_INFINITY)),
    release: ([id]) => {
      this.#cluster.node(id!).diskHeld = false;
      this.#cluster.persist(id!);
    },
    restart: ([id, refill]) => void this.#cluster.restart(id!, { mayVote: refill === undefined }),
    damage: ([id, index]) => this.#cluster.node(id!).store.damageFrom(Number(index)),
    compact: ([id, keep]) => this.#cluster.compact(id!, Number(keep ?? 0)),
    stream: ([link]) => this.#stream(link!),
    change: ([id, op, node]) => this.#change(id!, op!, node!),
    transfer: ([id, to]) => this.#input(id!, { type: 'transfer_leadership', ref: this.#cluster.ref(), to: to ?? null }),
    unreachable: ([id, node]) => this.#input(id!, { type: 'unreachable', node: node! }),
    disk: ([id, state]) => this.#input(id!, { type: 'disk', state: state === 'full' ? 'full' : 'ok' }),
    status: (ids) => this.#status(ids),
    log: ([id]) => this.#lines.push(this.#cluster.node(id!).store.all().map(entryText).join(' ')),
  };

  #nodes(args: readonly string[]): void {
    const options = new Map(args.slice(1).map((arg) => arg.split('=') as [string, string]));
    const cache = options.get('cache');
    this.#cluster = new TestCluster(Number(args[0]), {
      learners: Number(options.get('learners') ?? 0),
      ...(cache !== undefined && { config: { cacheBytesMax: Number(cache) } }),
      onOutput: (node, output) => this.#print(node, output),
      onSend: (message) => this.#lines.push(`  ${messageText(message)}`),
    });
  }

  #input(id: NodeId, input: Input): void {
    this.#cluster.step(id, input);
  }

  #change(id: NodeId, op: string, node: NodeId): void {
    const change = { op, node, info: {} } as MembershipChange;
    this.#input(id, { type: 'change_membership', ref: this.#cluster.ref(), change });
  }

  #on(link: string): Message[] {
    const [from, to] = link.split('->');
    return this.#cluster.messages.filter((m) => m.from === from && m.to === to);
  }

  #deliver(link: string, count: number): void {
    for (const message of this.#on(link).slice(0, count)) this.#cluster.deliver(message);
  }

  #drop(link: string | undefined): void {
    const gone = link === undefined ? [...this.#cluster.messages] : this.#on(link);
    this.#cluster.drop((message) => gone.includes(message));
    for (const message of gone) this.#lines.push(`  lost ${messageText(message)}`);
  }

  #stabilize(ids: readonly string[]): void {
    const c = this.#cluster;
    const apart = (m: Message) =>
      this.#groups?.some((group) => group.includes(m.from) && !group.includes(m.to)) ?? false;
    for (let i = 0; i < 1_000; i++) {
      c.drop(apart);
      const message = c.messages.find((m) => ids.length === 0 || (ids.includes(m.from) && ids.includes(m.to)));
      if (message === undefined) return;
      c.deliver(message);
    }
    assert.fail('never stable');
  }

  #stream(link: string): void {
    const [from, to] = link.split('->');
    const at = this.#requests.findIndex((request) => request.from === from && request.to === to);
    assert(at >= 0, `no snapshot was asked for on ${link}`);
    this.#requests.splice(at, 1)[0]!.stream();
  }

  #status(ids: readonly string[]): void {
    for (const node of this.#cluster.nodes.values()) {
      if (ids.length > 0 && !ids.includes(node.id)) continue;
      const s = node.raft.status();
      const peers = s.peers.map((p) => ` ${p.id}:${p.state} match ${p.match} next ${p.next}`).join('');
      const leader = s.leader === null ? 'no leader' : `leader ${s.leader}`;
      const marks = `${s.mayVote ? '' : ' refilling'}${s.diskFull ? ' disk full' : ''}`;
      this.#lines.push(
        `${node.id} ${s.role} term ${s.term} ${leader} last ${s.lastIndex} commit ${s.commitIndex}${marks}${peers}`,
      );
    }
  }

  #print(node: TestNode, output: Output): void {
    const say = (text: string) => this.#lines.push(`${node.id} ${text}`);
    const { roleChange: role, membership, transfer, commit, write } = output;
    if (role !== null) {
      const leader = role.leader === null || role.leader === node.id ? '' : ` of ${role.leader}`;
      say(`${role.role}${leader} in term ${role.term}${role.reason === null ? '' : `: ${role.reason}`}`);
    }
    if (membership !== null) say(`members ${membershipText(membership)}`);
    if (write !== null) say(`write ${writeText(write)}`);
    if (commit !== null) say(`apply ${commit.lo}..${commit.hi - 1}`);
    for (const { ref, reason } of output.refused) say(`refuses ${ref}: ${reason}`);
    for (const ref of output.unknown) say(`does not know what becomes of ${ref}`);
    for (const read of output.reads) say(`read ${read.ref}: ${read.index === null ? read.reason : `at ${read.index}`}`);
    if (transfer !== null) say(`transfer to ${transfer.to}: ${transfer.outcome}`);
    if (output.refilled) say('is whole again');
    for (const request of output.snapshotsToSend) {
      say(`snapshot ${request.snapshot.index} for ${request.to}`);
      const { from, to } = request;
      this.#requests.push({ from, to, stream: () => this.#cluster.streamSnapshot(request) });
    }
  }
}

function entryText({ index, term, kind, data }: Entry): string {
  return `${index}@${term}:${kind === 'command' ? new TextDecoder().decode(data) : kind}`;
}

function membershipText({ voters, learners }: Membership): string {
  return `${voters.join(' ')}${learners.length === 0 ? '' : ` learners ${learners.join(' ')}`}`;
}

function writeText({ hardState, snapshot, truncateFrom, append }: Write): string {
  const parts: string[] = [];
  if (hardState !== null) parts.push(`term ${hardState.term} vote ${hardState.vote ?? 'nobody'}`);
  if (snapshot !== null) parts.push(`snapshot ${snapshot.index}@${snapshot.term}`);
  if (truncateFrom !== null) parts.push(`cut from ${truncateFrom}`);
  if (append.length > 0) parts.push(append.map(entryText).join(' '));
  return parts.join(', ');
}

function messageText(m: Message): string {
  return `${m.from}->${m.to} ${m.type} term ${m.term}${detail(m)}`;
}

function detail(m: Message): string {
  switch (m.type) {
    case 'request_vote':
      return `${m.pre ? ' pre' : ''}${m.transfer ? ' transfer' : ''} last ${m.lastIndex}@${m.lastTerm}`;
    case 'request_vote_reply':
      return `${m.pre ? ' pre' : ''} ${m.granted ? 'granted' : 'refused'}`;
    case 'append':
      return ` after ${m.prevIndex}@${m.prevTerm} [${m.entries.map(entryText).join(' ')}] commit ${m.commit}`;
    case 'append_reply':
      return m.ok ? ` ok ${m.index}` : ` refused ${m.index}, may meet at ${m.hintIndex}@${m.hintTerm}`;
    case 'heartbeat':
      return ` round ${m.round}`;
    case 'heartbeat_reply':
      return ` round ${m.round} commit ${m.commit}${m.fit ? '' : ' unfit'}`;
    case 'install_snapshot':
      return ` ${m.snapshot.index}@${m.snapshot.term}`;
    case 'read_reply':
      return ` id ${m.id} ${m.index === null ? 'refused' : `at ${m.index}`}`;
    case 'read_request':
      return ` id ${m.id}`;
    case 'timeout_now':
      return '';
  }
}
