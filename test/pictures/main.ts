// npm run pictures: runs the real programs at real (pseudo) terminals and draws what they showed, for the tour in README.md.
//
//   npm run pictures                all, into cli/pictures/
//   npm run pictures -- /some/dir   elsewhere
//
// Two trackers' ports and two daemons' on 127.0.0.1 must be free: they are those of tracker_info.txt, which a reader sees too.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BINS, PROJECT } from '../harness/program.ts';
import { until } from '../harness/until.ts';
import { type Daemon, World } from '../harness/world.ts';
import { Screen } from './screen.ts';
import { toSvg } from './svg.ts';

const COLUMNS = 112;
const SHOWN_MS_MAX = 35_000;
const KEY_MS = 120;
const FILE = process.execPath;
const folder = process.argv[2] ?? join(PROJECT, 'cli', 'pictures');
const ports = [5353, 5354, 5355, 18_000, 18_001, 18_002];
const world = new World({ addresses: ports.map((port) => ({ host: '127.0.0.1', port })) });

/** A program at a terminal of its own. */
class Terminal {
  readonly child: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<void>;
  output = '';

  constructor(program: string, words: readonly string[], options: { cwd: string; env?: NodeJS.ProcessEnv }) {
    const line = [process.execPath, program, ...words].map(quoted).join(' ');
    const env = { ...world.env, TERM: 'xterm-256color', LANG: 'C.UTF-8', ...options.env };
    this.child = spawn('script', ['-qefc', `stty cols ${COLUMNS} rows 40; exec ${line}`, '/dev/null'], {
      cwd: options.cwd,
      env,
    });
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
    });
    this.#ended = new Promise((resolve) => this.child.on('close', () => resolve()));
  }

  async shows(what: RegExp): Promise<void> {
    const options = { timeoutMs: SHOWN_MS_MAX, everyMs: 10 };
    await until(`${what} on screen`, () => what.test(this.output), options).catch((error: Error) => {
      throw new Error(`${error.message}: ${JSON.stringify(this.output.slice(-2_000))}`);
    });
  }

  async ended(): Promise<void> {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), SHOWN_MS_MAX);
    await this.#ended;
    clearTimeout(timer);
    if (this.child.signalCode) throw new Error(`it does not end: ${JSON.stringify(this.output.slice(-2_000))}`);
  }

  /** As a person types: readline takes what comes at once for pasted, and then Tab is only a tab. */
  async keys(text: string): Promise<void> {
    for (const key of text) {
      this.type(key);
      await sleep(KEY_MS);
    }
  }

  type(text: string): void {
    this.child.stdin.write(text);
  }
}

/** One picture: prompts, what was typed, what came. */
class Picture {
  readonly #screen = new Screen(COLUMNS);
  readonly #title: string;

  constructor(title: string) {
    this.#title = title;
  }

  prompt(who: string, line: string): void {
    this.#screen.write(`\x1b[1m\x1b[32m${who}$\x1b[39m ${line}\x1b[22m\r\n`);
  }

  remark(text: string): void {
    this.#screen.write(`\x1b[2m# ${text}\x1b[22m\r\n`);
  }

  /** Output, with this machine's paths made those of a reader. */
  show(output: string): void {
    const readable = output
      .replaceAll(join(world.dir, 'ann', 'run', 's'), '/run/user/1000/mini-torrent/peerd.sock')
      .replaceAll(/\/tmp\/mt-\w+\/(ann|bob|carol)\/data/g, '/home/$1/.local/state/mini-torrent/peer')
      .replaceAll(/\/tmp\/mt-\w+\/(ann|bob|carol)\/run\/s/g, '/run/user/1001/mini-torrent/peerd.sock')
      .replaceAll(/\/tmp\/mt-\w+\/(ann|bob|carol)/g, '/home/$1');
    this.#screen.write(readable);
  }

  save(name: string): void {
    writeFileSync(join(folder, `${name}.svg`), toSvg(this.#screen, this.#title));
    console.log(`${name}.svg`);
  }
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

function open(daemon: Daemon, words: readonly string[]): Terminal {
  return new Terminal(BINS.mt, words, { cwd: daemon.dir, env: { MT_SOCKET: daemon.socket } });
}

/** A command as typed, with answers to its hidden questions, and all that it showed. */
async function run(picture: Picture, daemon: Daemon, line: string, answers: readonly [RegExp, string][] = []) {
  picture.prompt(daemon.name, `mt ${line}`);
  const terminal = open(daemon, words(line));
  for (const [question, answer] of answers) {
    await terminal.shows(question);
    terminal.type(`${answer}\r`);
  }
  await terminal.ended();
  picture.show(terminal.output);
}

function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2]!);
}

async function start(picture: Picture): Promise<Daemon[]> {
  for (const number of [1, 2, 3]) world.launchTracker(number);
  for (const [number, tracker] of world.trackers) {
    picture.prompt('', `npx mt-trackerd tracker_info.txt ${number}`);
    picture.show(`${(await tracker.ready()).trim()}\r\n`);
  }
  const daemons = ['ann', 'bob', 'carol'].map((name) => world.daemon(name));
  for (const daemon of daemons) await daemon.start();
  picture.prompt('', 'npx mt-peerd 127.0.0.1:18000 tracker_info.txt');
  picture.show(`${daemons[0]!.program.stdout.trim()}\r\n`);
  picture.save('start');
  return daemons;
}

async function tour(): Promise<void> {
  const [ann, bob, carol] = (await start(new Picture('three trackers and a daemon'))) as [Daemon, Daemon, Daemon];
  copyFileSync(FILE, ann.path('node'));
  copyFileSync(join(PROJECT, 'LICENSE'), ann.path('LICENSE'));

  const first = new Picture('a first file');
  const password: [RegExp, string] = [/Password[^\n]*: $/, 'correct horse'];
  await run(first, ann, 'create_user ann', [password, [/again: $/, 'correct horse']]);
  await run(first, ann, 'login ann', [password]);
  await run(first, ann, 'create_group lab');
  await run(first, ann, 'upload_file LICENSE lab');
  await run(first, ann, 'list_files lab');
  first.save('first-file');

  for (const daemon of [bob, carol]) await daemon.enter();
  await ann.ok('upload_file', 'node', 'lab');
  await ann.ok('limits', '--up', '24M');

  const join_ = new Picture('a second person');
  await run(join_, bob, 'join_group lab');
  await run(join_, ann, 'list_requests lab');
  await run(join_, ann, 'accept_request lab bob');
  await run(join_, bob, 'list_groups');
  join_.save('join');

  const fetch = new Picture('a download');
  fetch.prompt('bob', 'mt download_file lab node .');
  const download = open(bob, words('download_file lab node .'));
  await download.shows(/ 4\d%.* left.*1 peer/);
  fetch.show(download.output);
  fetch.save('download');
  await ann.ok('limits', '--up', '0');
  await download.ended();

  const tree = new Picture('a directory');
  mkdirSync(ann.path('photos', 'lake'), { recursive: true });
  for (const name of ['boat.jpg', 'lake/dawn.jpg', 'lake/dusk.jpg']) ann.file(join('photos', name), 2_400_000);
  await run(tree, ann, 'upload_file photos lab');
  await run(tree, ann, 'list_files lab');
  await run(tree, bob, 'download_file lab photos .');
  tree.save('directory');

  await carol.ok('join_group', 'lab');
  await ann.ok('accept_request', 'lab', 'carol');
  await watch(ann, bob, carol);
  await troubles(ann, bob);
  await shell(ann);
}

/** Several downloads in several states. */
async function watch(ann: Daemon, bob: Daemon, carol: Daemon): Promise<void> {
  await bob.ok('limits', '--up', '8M');
  await ann.ok('limits', '--up', '12M');
  const { path } = bob.file('holiday photos.zip', 9_000_000);
  await bob.ok('upload_file', path, 'lab');
  bob.file('thesis.pdf', 3_400_000);
  await bob.ok('upload_file', 'thesis.pdf', 'lab');
  await carol.ok('download_file', 'lab', 'thesis.pdf', '.');
  await carol.ok('limits', '--down', '3M');
  await bob.program.stop();
  await carol.ok('download_file', 'lab', 'node', '.', '--detach');
  await carol.ok('download_file', 'lab', 'holiday photos.zip', '.', '--detach');
  const picture = new Picture('every download, live');
  picture.prompt('carol', 'mt show_downloads --watch');
  const terminal = open(carol, ['show_downloads', '--watch']);
  const frame =
    /complete +lab[^\n]*\n[^\n]*node[^\n]*\d\d% [^\n]*MB\/s[^\n]*\n[^\n]*holiday[^\n]*No seeder is online\r?\n/;
  await terminal.shows(frame);
  picture.show(terminal.output.slice(0, terminal.output.lastIndexOf('\x1b[J')));
  terminal.type('\x03');
  await terminal.ended();
  picture.save('watch');
  await carol.ok('limits', '--down', '0');
  await bob.start();
  await ann.ok('limits', '--up', '0');
}

/** A tracker dies; what is shown of it; what a mistake looks like. */
async function troubles(ann: Daemon, bob: Daemon): Promise<void> {
  const leader = await world.leader(ann);
  const died = new Picture('a tracker dies');
  await run(died, ann, 'tracker_status');
  await world.trackers.get(leader)!.kill();
  died.remark(`tracker ${leader}, the leader, is killed with kill -9`);
  await run(died, ann, 'create_group reading');
  await world.leader(ann);
  await run(died, ann, 'tracker_status');
  died.save('trackers');

  const doctor = new Picture('mt doctor');
  await run(doctor, ann, 'doctor');
  doctor.save('doctor');
  await world.startTracker(leader);

  const errors = new Picture('mistakes');
  await run(errors, bob, 'list_file');
  await run(errors, bob, 'downlaod_file lab node .');
  await run(errors, bob, 'download_file lab node .');
  await run(errors, bob, 'accept_request lab carol');
  await run(errors, bob, 'help ALREADY_DOWNLOADED');
  errors.save('errors');
}

/** History, and Tab twice. */
async function shell(ann: Daemon): Promise<void> {
  const picture = new Picture('mt shell');
  picture.prompt('ann', 'mt shell');
  const terminal = open(ann, ['shell']);
  await terminal.shows(/mt> /);
  await terminal.keys('list_s\t');
  await terminal.shows(/list_seeders /);
  await terminal.keys('l\t');
  await terminal.shows(/lab /);
  // Tab once more: nothing that all candidates share, so all of them.
  await terminal.keys('\t');
  await terminal.shows(/thesis\.pdf/);
  await terminal.keys('th\t');
  await terminal.shows(/lab \S*thesis\.pdf $/);
  await terminal.keys('\r');
  await terminal.shows(/complete[\s\S]*mt> /);
  terminal.type('quit\r');
  await terminal.ended();
  picture.show(terminal.output);
  picture.save('shell');
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void world.close().then(() => process.exit(1)));
mkdirSync(folder, { recursive: true });
try {
  await tour();
} catch (error) {
  console.error(world.logs());
  throw error;
} finally {
  await world.close();
}
