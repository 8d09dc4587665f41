// Does the simulator see what it must? Each known consensus bug is put back, by an edit of a copy of the sources, and must be
// caught within a number of seeds. Nothing of this is in the shipped code.
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface Mutant {
  readonly name: string;
  /** Below the project's root. */
  readonly file: string;
  /** Must stand there exactly once. */
  readonly find: string;
  readonly replace: string;
}

const RAFT = 'cluster/raft';
const SEEDS_MAX = 1_000;
const COPIED = ['codec', 'cluster/raft', 'cluster/state', 'test/sim'];

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'commit by counting entries of old terms (figure 8)',
    file: `${RAFT}/replication.ts`,
    find: 'if (held <= s.commit || s.log.term(held) !== s.term) return;',
    replace: 'if (held <= s.commit) return;',
  },
  {
    name: 'vote for two candidates in one term',
    file: `${RAFT}/election.ts`,
    find: 'const free = s.vote === m.from || (s.vote === null && s.leader === null);',
    replace: 'const free = true;',
  },
  {
    name: 'vote granted before it is durable',
    file: `${RAFT}/election.ts`,
    find: 's.out.sendAfterDurable.push(voteReply(s, m, granted));',
    replace: 's.out.sendNow.push(voteReply(s, m, granted));',
  },
  {
    name: 'vote never written',
    file: `${RAFT}/core.ts`,
    find: 'const hardState: HardState = changed ? { term: s.term, vote: s.vote } : emitted;',
    replace: 'const hardState: HardState = changed ? { term: s.term, vote: null } : emitted;',
  },
  {
    name: 'vote for a candidate with an older log',
    file: `${RAFT}/election.ts`,
    find: 'return m.lastIndex >= s.log.last;',
    replace: 'return true;',
  },
  {
    name: 'logs compared by length before term',
    file: `${RAFT}/election.ts`,
    find: 'if (m.lastTerm !== s.log.lastTerm) return m.lastTerm > s.log.lastTerm;',
    replace: '',
  },
  {
    name: 'entries acknowledged before they are durable',
    file: `${RAFT}/follower.ts`,
    find: `function acknowledge(s: RaftState, to: NodeId, index: Index): void {
  s.out.sendAfterDurable.push({`,
    replace: `function acknowledge(s: RaftState, to: NodeId, index: Index): void {
  s.out.sendNow.push({`,
  },
  {
    name: 'leader counts its own entries before they are durable',
    file: `${RAFT}/replication.ts`,
    find: 'id === s.id ? s.log.stable :',
    replace: 'id === s.id ? s.log.last :',
  },
  {
    name: 'a short append truncates what follows',
    file: `${RAFT}/follower.ts`,
    find: 'const first = firstNew(s, m.entries);',
    replace: `const first = firstNew(s, m.entries);
  if (m.entries.length > 0 && first === m.entries.length && matched < s.log.last && matched >= s.commit) {
    s.log.truncateFrom(matched + 1);
    s.memberships.truncateFrom(matched + 1);
  }`,
  },
  {
    name: 'the entry before an append is not compared',
    file: `${RAFT}/follower.ts`,
    find: 'if (m.prevIndex >= s.commit && s.log.term(m.prevIndex) !== m.prevTerm) {',
    replace: 'if (m.prevIndex >= s.commit && s.log.term(m.prevIndex) === null) {',
  },
  {
    name: 'follower commits beyond what the message proves',
    file: `${RAFT}/follower.ts`,
    find: 's.commitTo(Math.min(m.commit, matched));',
    replace: 's.commitTo(Math.min(m.commit, s.log.last));',
  },
  {
    name: 'half of the voters are a majority',
    file: `${RAFT}/quorum.ts`,
    find: 'return Math.floor(count / 2) + 1;',
    replace: 'return Math.max(1, Math.ceil(count / 2));',
  },
  {
    name: 'read before the new leader has committed its no-op',
    file: `${RAFT}/reads.ts`,
    find: 's.waitingReads.length > 0 && s.committedInTerm &&',
    replace: 's.waitingReads.length > 0 &&',
  },
  {
    name: 'read without asking a majority',
    file: `${RAFT}/reads.ts`,
    find: 'while (s.rounds.length > 0 && s.rounds[0]!.round <= confirmed) {',
    replace: 'while (s.rounds.length > 0 && confirmed >= 0) {',
  },
  {
    name: 'a second membership change while one is in flight',
    file: `${RAFT}/proposals.ts`,
    find: "if (s.memberships.currentIndex > s.commit) return 'change_in_flight';",
    replace: '',
  },
  {
    name: 'membership not rolled back when its entry is cut',
    file: `${RAFT}/follower.ts`,
    find: `    s.log.truncateFrom(from);
    s.memberships.truncateFrom(from);`,
    replace: '    s.log.truncateFrom(from);',
  },
  {
    name: 'a node with a damaged log votes',
    file: `${RAFT}/state.ts`,
    find: 'this.mayVote = initial.mayVote;',
    replace: 'this.mayVote = true;',
  },
  {
    name: 'a damaged node votes again before it is refilled',
    file: `${RAFT}/follower.ts`,
    find: 'if (goal === null || Math.min(s.commit, s.log.stable) < goal.index) return;',
    replace: 'if (goal === null) return;',
  },
  {
    name: "acknowledgements of a member's earlier boot still count",
    file: `${RAFT}/progress.ts`,
    find: `    this.match = 0;
    this.becomeProbe(guess);`,
    replace: '    this.becomeProbe(guess);',
  },
  {
    name: 'a report about an overwritten write is believed',
    file: `${RAFT}/log.ts`,
    find: 'if (mark.epoch !== this.#epoch) return;',
    replace: '',
  },
  {
    name: 'an older snapshot replaces newer state',
    file: `${RAFT}/follower.ts`,
    find: `  if (index <= s.commit) {
    acknowledge(s, m.from, s.commit);
    return;
  }
  if (s.log.term(index) === term) {`,
    replace: '  if (s.log.term(index) === term && index > s.commit) {',
  },
  {
    name: 'a snapshot is installed while an apply is under way',
    file: `${RAFT}/follower.ts`,
    find: 'if (s.applied < s.handedOut) {\n    s.heldSnapshot = m;',
    replace: 'if (s.applied < 0) {\n    s.heldSnapshot = m;',
  },
  {
    name: 'membership forgotten when a snapshot is installed',
    file: `${RAFT}/follower.ts`,
    find: '  s.memberships.reset(index, membership);\n',
    replace: '',
  },
  {
    name: 'a retried command is executed again',
    file: 'cluster/state/apply.ts',
    find: 'remember(state, admission.client, command.seq, reply);',
    replace: 'if (command.seq < 0) remember(state, admission.client, command.seq, reply);',
  },
  {
    name: 'exactly-once replies left out of a restored snapshot',
    file: 'cluster/state/restore.ts',
    find: '    return state;\n',
    replace: '    for (const client of state.clients.values()) client.replies.clear();\n    return state;\n',
  },
  {
    name: 'an unknown command is skipped instead of halting the node',
    file: 'cluster/state/commands.ts',
    find: 'if (!isCommandType(type)) throw',
    replace: `if (!isCommandType(type)) {
    const actor = { fingerprint: null, session: null };
    return { type: 'upgrade', clientId: null, seq: 0, acked: 0, actor, at, payload: { version: 1 } };
  }
  if (false) throw`,
  },
];

/** @returns whether every mutant (of those named, or all) was caught. */
export async function checkMutants(names: readonly string[], threads: number): Promise<boolean> {
  const chosen = MUTANTS.filter((mutant) => names.length === 0 || names.some((name) => mutant.name.includes(name)));
  if (chosen.length === 0) throw new Error('no mutant of that name');
  const rows: { name: string; seed: number | null; violation: string; seconds: number }[] = [];
  for (const mutant of chosen) {
    const startedAt = performance.now();
    const { seed, violation } = await hunt(mutant, threads);
    rows.push({ name: mutant.name, seed, violation, seconds: (performance.now() - startedAt) / 1000 });
    const { seconds } = rows.at(-1)!;
    const verdict = seed === null ? `SURVIVED ${SEEDS_MAX} seeds` : `caught by seed ${seed}`;
    console.log(
      `${verdict.padEnd(22)} ${seconds.toFixed(1).padStart(6)} s  ${mutant.name}\n${' '.repeat(32)}${violation.slice(0, 110)}`,
    );
  }
  const survivors = rows.filter((row) => row.seed === null);
  const seconds = rows.reduce((sum, row) => sum + row.seconds, 0);
  console.log(
    `every mutant has ${SEEDS_MAX} seeds, from seed 1 on; ${seconds.toFixed(0)} s in all\n` +
      `${rows.length - survivors.length} passed, ${survivors.length} failed (mutants caught)`,
  );
  return survivors.length === 0;
}

/** Runs seeds against a copy of the sources with the bug in it, until one fails. */
async function hunt(mutant: Mutant, threads: number): Promise<{ seed: number | null; violation: string }> {
  const root = join(import.meta.dirname, '../..');
  const copy = join(root, '.tsbuild', 'mutants', mutant.name.replaceAll(/[^a-z0-9]+/gi, '-'));
  rmSync(copy, { recursive: true, force: true });
  try {
    for (const folder of COPIED) cpSync(join(root, folder), join(copy, folder), { recursive: true });
    mkdirSync(copy, { recursive: true });
    const file = join(copy, mutant.file);
    const source = readFileSync(file, 'utf8');
    if (source.split(mutant.find).length !== 2)
      throw new Error(`mutant "${mutant.name}": its place in ${mutant.file} has changed`);
    writeFileSync(
      file,
      source.replace(mutant.find, () => mutant.replace),
    );
    const many = ['--seeds', String(SEEDS_MAX), '--stop-at-first', '--threads', String(threads)];
    const output = await run(join(copy, 'test/sim/main.ts'), many);
    const [, seed, violation] = /^seed (\d+) FAILED: (.*)$/m.exec(output) ?? [];
    return seed === undefined ? { seed: null, violation: '' } : { seed: Number(seed), violation: violation! };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function run(script: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk;
    });
    child.on('error', reject);
    child.on('close', () => resolve(output));
  });
}
