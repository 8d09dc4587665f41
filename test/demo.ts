// `npm run demo`: the whole of mini-torrent on one screen, with the real programs and a real file, and nothing left behind.
//
//   npm run demo              three trackers, three peers, one file of about 100 MB, and a leader killed midway
//   npm run demo -- --keep    the same, then leaves it running and says how to play with it (Ctrl-C ends it)
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { basename, relative } from 'node:path';
import { parseArgs } from 'node:util';
import pc from 'picocolors';
import { sha1Of } from './harness/files.ts';
import { freePorts } from './harness/free-ports.ts';
import { Meter } from './harness/meter.ts';
import { BINS } from './harness/program.ts';
import { until } from './harness/until.ts';
import { type Daemon, World } from './harness/world.ts';

/** So that the transfer lasts long enough to be watched, and to kill a leader in the middle of it. */
const UPLOAD_LIMIT = '16M';
const FILE = process.execPath;
const NAME = basename(FILE);

const { values: flags } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
const ports = await freePorts(6);
const world = new World({ addresses: ports.map((port) => ({ host: '127.0.0.1', port })) });
const showing = new Set<ChildProcess>();
let ending = false;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => void end(signal === 'SIGINT' ? 130 : 143));
}

try {
  await demo();
  if (flags.keep) play();
  else await end(0);
} catch (error) {
  if (!ending) {
    console.error(
      `\n${world.logs()}\n\n${pc.red('The demo failed:')} ${error instanceof Error ? error.message : error}`,
    );
    await end(1);
  }
}

async function demo(): Promise<void> {
  step('Three trackers, from a tracker_info.txt');
  console.log(pc.dim(readFileSync(world.trackerInfo, 'utf8').trimEnd().replaceAll(/^/gm, '  ')));
  for (const number of [1, 2, 3]) {
    command('', 'mt-trackerd', 'tracker_info.txt', String(number));
    world.launchTracker(number);
  }
  for (const program of world.trackers.values()) output(await program.ready());

  step('Three people, each with a peer daemon');
  const people: Daemon[] = [];
  for (const name of ['alice', 'bob', 'carol']) {
    const daemon = world.daemon(name);
    command(
      '',
      'mt-peerd',
      daemon.args[0]!,
      'tracker_info.txt',
      '--data-dir',
      `${name}/data`,
      '--socket',
      `${name}/run/s`,
    );
    await daemon.start();
    output(daemon.program.stdout.trim());
    people.push(daemon);
  }
  const [alice, bob, carol] = people as [Daemon, Daemon, Daemon];
  for (const person of people) {
    await mt(person, 'create_user', person.name, `secret-of-${person.name}`);
    await mt(person, 'login', person.name, `secret-of-${person.name}`);
  }

  step('Alice opens a group; the others ask to join; she accepts');
  await mt(alice, 'create_group', 'lab');
  await mt(bob, 'join_group', 'lab');
  await mt(carol, 'join_group', 'lab');
  await mt(alice, 'list_requests', 'lab');
  await mt(alice, 'accept_request', 'lab', 'bob');
  await mt(alice, 'accept_request', 'lab', 'carol');
  await mt(carol, 'list_members', 'lab');

  step(`Alice shares a real file: ${NAME}, ${(statSync(FILE).size / 2 ** 20).toFixed(1)} MB`);
  await mt(alice, 'upload_file', FILE, 'lab');
  await mt(bob, 'list_files', 'lab');

  step('Bob fetches it from Alice');
  await mt(bob, 'download_file', 'lab', NAME, bob.path('copy'));
  await mt(bob, 'list_seeders', 'lab', NAME);

  step('Carol fetches it from both at once, and the leader of the trackers is killed with -9 in the middle');
  await mt(alice, 'limits', '--up', UPLOAD_LIMIT);
  await mt(bob, 'limits', '--up', UPLOAD_LIMIT);
  await mt(alice, 'tracker_status');
  await fetchWhileLeaderDies(carol);

  step('Nothing is lost: the two trackers that are left have a new leader and know everything');
  await mt(carol, 'tracker_status');
  await mt(bob, 'list_seeders', 'lab', NAME);
  await mt(carol, 'list_groups');
  await mt(carol, 'show_downloads');

  step('The killed tracker comes back and catches up');
  const dead = [...world.trackers].find(([, program]) => !program.isRunning)![0];
  command('', 'mt-trackerd', 'tracker_info.txt', String(dead));
  output(await (await world.startTracker(dead)).ready());
  await until('it has caught up', async () => {
    const { trackers } = await world.status(alice);
    return trackers.every(({ reachable, lag }) => reachable && lag === 0);
  });
  await mt(alice, 'tracker_status');

  step('The SHA-1 of each copy');
  const copies = [FILE, bob.path('copy'), carol.path('copy')];
  command('', 'sha1sum', ...copies.map(shown));
  const sums = copies.map(sha1Of);
  for (const [i, copy] of copies.entries()) output(`${sums[i]}  ${shown(copy)}`);
  if (new Set(sums).size !== 1) throw new Error('the copies differ');
  console.log(pc.green(pc.bold('\n  All three are equal.')));
}

/** Carol's download on screen; when some of it is there, the leader is killed. Watched without `mt`, which might start too late for it. */
async function fetchWhileLeaderDies(carol: Daemon): Promise<void> {
  const meter = await Meter.of(carol);
  const download = mt(carol, 'download_file', 'lab', NAME, carol.path('copy'));
  const killed = (async () => {
    await until('some of the file is there', async () => {
      const row = await meter.row(NAME);
      return row !== undefined && row.bytes_done > 20e6 && row.peers >= 2;
    });
    const leader = await until('there is a leader', async () => (await meter.ask('tracker_status', {})).leader);
    await world.trackers.get(leader)!.kill();
    console.log(`\n${pc.red(`  kill -9 ${world.trackers.get(leader)!.pid}`)}   (tracker ${leader}, the leader)`);
  })();
  await Promise.all([download, killed]);
  meter.close();
  const leader = await world.leader(carol);
  console.log(pc.dim(`  tracker ${leader} leads now`));
}

/** Shows and runs one command of a person, its output on this very screen. */
function mt(person: Daemon, ...args: string[]): Promise<void> {
  const hidden = args.map((arg, i) => (i === 2 && /^(create_user|login)$/.test(args[0]!) ? '••••••' : shown(arg)));
  command(person.name, 'mt', ...hidden);
  const isTerminal = process.stdout.isTTY === true;
  const more = args[0] === 'download_file' && !isTerminal ? ['--progress'] : [];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [BINS.mt, ...args, ...more], {
      cwd: person.dir,
      env: {
        ...world.env,
        MT_SOCKET: person.socket,
        ...(process.env.TERM !== undefined && { TERM: process.env.TERM }),
      },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    showing.add(child);
    child.on('error', reject);
    child.on('close', (code) => {
      showing.delete(child);
      if (code === 0) resolve();
      else reject(new Error(`mt ${args[0]} ended with exit ${code}`));
    });
  });
}

function play(): void {
  console.log(pc.bold('\nIt is all still running. In another terminal, from this folder:\n'));
  for (const { name, socket } of world.daemons) {
    console.log(`  export MT_SOCKET=${socket}    ${pc.dim(`# be ${name}`)}`);
    if (name !== 'alice') continue;
    for (const line of [
      'npx mt status',
      'npx mt list_groups',
      'npx mt upload_file README.md lab',
      'npx mt tracker_status',
    ]) {
      console.log(`  ${line}`);
    }
    console.log(
      `  kill -9 ${[...world.trackers.values()].map(({ pid }) => pid).join(' | ')}    ${pc.dim('# any one tracker')}\n`,
    );
  }
  console.log(`\n  Files are under ${world.dir}. ${pc.bold('Ctrl-C here stops everything and removes it.')}`);
  setInterval(() => {}, 1 << 30); // until Ctrl-C
}

async function end(code: number): Promise<never> {
  if (ending) return new Promise<never>(() => {});
  ending = true;
  for (const child of showing) child.kill('SIGKILL');
  if (code === 0) {
    step('The end: everything is stopped and removed');
    for (const daemon of world.daemons) await daemon.program.stop();
    for (const tracker of world.trackers.values()) await tracker.stop();
  }
  await world.close();
  if (code === 0) console.log(pc.dim('  6 programs stopped, no file left behind'));
  process.exit(code);
}

function step(title: string): void {
  console.log(`\n${pc.bold(pc.cyan(`━━ ${title}`))}`);
}

function command(person: string, ...words: string[]): void {
  const line = words.map((word) => (/^[\w./:=@%+•-]+$/.test(word) ? word : `'${word}'`)).join(' ');
  console.log(`${pc.green(`${person}$`)} ${pc.bold(line)}`);
}

function output(text: string): void {
  console.log(shown(text));
}

/** Paths inside the demo's own directory are shown from there on. */
function shown(text: string): string {
  const path = text.replaceAll(`${world.dir}/`, '');
  return path === FILE ? relative(process.cwd(), FILE) : path;
}
