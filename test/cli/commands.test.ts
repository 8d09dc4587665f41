// Every command: the request that reaches the daemon, the answer in both forms, stdout and stderr apart.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { COMMAND_NAMES } from '../../cli/command-table.ts';
import { ControlServer } from './control-server.ts';
import { mt } from './run-mt.ts';

const SHA1 = 'da39a3ee5e6b4b0d3255bfef95601890afd80709';
const SESSION = '0123456789abcdef0123456789abcdef';
const lab = { group_id: 'lab' };
const labBob = { group_id: 'lab', user_id: 'bob' };
const labFile = { group_id: 'lab', file_name: 'a b.txt' };

const groups = [{ group_id: 'lab', owner: 'alice', members: 2, standing: 'member' as const }];
const members = [{ user_id: 'alice', owner: true, online: false }];
const requests = [{ user_id: 'bob', at: 1_700_000_000_000 }];
const files = [{ file_name: 'a b.txt', size: 2_097_152, sha1: SHA1, piece_count: 32, seeders: 1 }];
const seeders = [{ user_id: 'alice', pieces: 32, complete: true }];
const sessions = [{ session: SESSION, this_daemon: true, address: '127.0.0.1:18000', online: true, since: 0 }];
const shares = [
  { ...labFile, path: '/tmp/a b.txt', state: 'shared' as const },
  { group_id: 'lab', file_name: 'lost.bin', path: '/tmp/lost.bin', state: 'missing' as const, note: 'put it back' },
];
const scrubbing = {
  rate: 8_388_608,
  interval_ms: 2_592_000_000,
  running: { ...labFile, bytes_done: 50, size: 100 },
  repairing: 1,
  bytes_checked: 4_096,
  pieces_damaged: 2,
  pieces_repaired: 1,
  shares: [{ ...labFile, checked_at: null, damaged_pieces: 2 }],
};
const uploaded = { ...labFile, size: 5, sha1: SHA1, piece_count: 1, new_file: true };
const fetched = {
  ...labFile,
  destination: '/tmp/out/a b.txt',
  size: 5,
  sha1: SHA1,
  state: 'complete' as const,
  warning: null,
};
const failed = [{ file: 'a b.txt', code: 'FILE_EXISTS', message: 'it is taken' }];
const watches = [{ path: '/tmp/out', group_id: 'lab', shared: 3, waiting: 1, failed, problem: null }];
const row = {
  ...labFile,
  state: 'downloading' as const,
  bytes_done: 42,
  size: 100,
  rate: 18.1 * 1024 * 1024,
  peers: 4,
  destination: '/tmp/a b.txt',
  reason: null,
  reason_code: null,
};
const status = {
  version: '0.1.0',
  pid: 7,
  uptime_ms: 65_000,
  data_dir: '/d',
  socket: '/s',
  address: '127.0.0.1:18000',
  fingerprint: 'f'.repeat(64),
  user_id: 'alice',
  tracker: { address: '127.0.0.1:5353', connected: true, leader: 2, outbox: 0, error: null },
  shares: 1,
  downloads: { downloading: 1, complete: 0, failed: 0, paused: 0 },
  upload_rate: 0,
  download_rate: 0,
  bytes_uploaded: 0,
  bytes_downloaded: 0,
};
const trackers = {
  trackers: [
    {
      number: 1,
      address: '127.0.0.1:5353',
      role: 'leader' as const,
      term: 3,
      last_index: 9,
      commit_index: 9,
      applied_index: 9,
      lag: 0,
      reachable: true,
    },
  ],
  leader: 1,
};

interface Case {
  words: string[];
  method?: string;
  params?: object;
  json: object;
  /** What stdout shows people. */
  shows: RegExp;
  input?: string;
}

const CASES: Case[] = [
  {
    words: ['create_user', 'alice', '--password-stdin'],
    input: 'secret\n',
    params: { user_id: 'alice', password: 'secret' },
    json: { user_id: 'alice' },
    shows: /Created user alice/,
  },
  {
    words: ['login', 'alice', 'secret'],
    params: { user_id: 'alice', password: 'secret' },
    json: { user_id: 'alice' },
    shows: /Logged in as alice/,
  },
  { words: ['logout'], params: {}, json: {}, shows: /Logged out/ },
  { words: ['whoami'], params: {}, json: { user_id: 'alice' }, shows: /^alice\n$/ },
  {
    words: ['change_password', '--password-stdin'],
    input: 'old\nnew\n',
    params: { old_password: 'old', new_password: 'new' },
    json: {},
    shows: /changed/,
  },
  { words: ['sessions'], method: 'list_sessions', params: {}, json: { sessions }, shows: /this daemon/ },
  {
    words: ['revoke_session', SESSION],
    params: { session: SESSION },
    json: { session: SESSION },
    shows: /ended/,
  },
  { words: ['create_group', 'lab'], params: lab, json: lab, shows: /Created group lab/ },
  { words: ['join_group', 'lab'], params: lab, json: lab, shows: /Asked to join lab/ },
  { words: ['leave_group', 'lab'], params: lab, json: lab, shows: /Left lab/ },
  { words: ['list_groups'], params: {}, json: { groups }, shows: /lab +alice +2 +member/ },
  { words: ['list_members', 'lab'], params: lab, json: { members }, shows: /alice +owner +offline/ },
  { words: ['list_requests', 'lab'], params: lab, json: { requests }, shows: /bob +2023-11-1/ },
  { words: ['accept_request', 'lab', 'bob'], params: labBob, json: labBob, shows: /bob is now a member of lab/ },
  { words: ['reject_request', 'lab', 'bob'], params: labBob, json: labBob, shows: /Turned down/ },
  { words: ['remove_member', 'lab', 'bob'], params: labBob, json: labBob, shows: /Removed bob from lab/ },
  { words: ['transfer_ownership', 'lab', 'bob'], params: labBob, json: labBob, shows: /bob is now the owner/ },
  { words: ['list_files', 'lab'], params: lab, json: { files }, shows: /a b\.txt +2\.0 MB +1 +da39/ },
  {
    words: ['list_file', 'lab'],
    method: 'list_files',
    params: lab,
    json: { files },
    shows: /a b\.txt/,
  },
  { words: ['list_seeders', 'lab', 'a b.txt'], params: labFile, json: { seeders }, shows: /alice +32 +complete/ },
  {
    words: ['upload_file', 'sub/../a b.txt', 'lab'],
    params: { path: '/tmp/a b.txt', group_id: 'lab' },
    json: uploaded,
    shows: /Shared a b\.txt \(5 B\) in lab, SHA-1 da39/,
  },
  {
    words: ['download_file', 'lab', 'a b.txt', 'out/', '--force', '--peer', 'bob'],
    params: { ...labFile, destination: '/tmp/out/', force: true, detach: false, peer: 'bob' },
    json: fetched,
    shows: /Fetched \/tmp\/out\/a b\.txt/,
  },
  {
    words: ['show_downloads'],
    params: {},
    json: { downloads: [row] },
    shows: /^\[D\] \[lab\] a b\.txt {2}42% 18\.1 MB\/s 4 peers\n$/,
  },
  {
    words: ['pause_download', 'lab', 'a b.txt'],
    params: labFile,
    json: labFile,
    shows: /resume_download lab 'a b.txt'/,
  },
  { words: ['resume_download', 'lab', 'a b.txt'], params: labFile, json: labFile, shows: /Goes on/ },
  { words: ['cancel_download', 'lab', 'a b.txt'], params: labFile, json: labFile, shows: /Cancelled/ },
  {
    words: ['limits', '--up', '20M', '--down', '0'],
    params: { up: 20_971_520, down: 0 },
    json: { up: 20_971_520, down: 0 },
    shows: /^up {4}20\.0 MB\/s\ndown {2}no limit\n$/,
  },
  { words: ['stop_share', 'lab', 'a b.txt'], params: labFile, json: labFile, shows: /No longer shared/ },
  { words: ['remove_file', 'lab', 'a b.txt'], params: labFile, json: labFile, shows: /Removed from lab/ },
  {
    words: ['watch', 'out', 'lab'],
    params: { path: '/tmp/out', group_id: 'lab' },
    json: { path: '/tmp/out', group_id: 'lab', new_watch: true },
    shows: /Watching \/tmp\/out for lab/,
  },
  {
    words: ['watch'],
    method: 'list_watches',
    params: {},
    json: { watches },
    shows: /lab +3 +1 +1 +\/tmp\/out\na b\.txt: it is taken/,
  },
  {
    words: ['unwatch', 'out'],
    params: { path: '/tmp/out', group_id: null },
    json: { path: '/tmp/out', group_ids: ['lab'] },
    shows: /No longer watching out for lab/,
  },
  {
    words: ['show_shares'],
    params: {},
    json: { shares },
    shows: /a b\.txt +shared +\/tmp\/a b\.txt\n.*\nlost\.bin: put it back\n$/,
  },
  {
    words: ['relocate', 'lab', 'a b.txt', 'sub/../a b.txt'],
    params: { ...labFile, path: '/tmp/a b.txt' },
    json: { ...labFile, path: '/tmp/a b.txt' },
    shows: /is shared from \/tmp\/a b\.txt now/,
  },
  {
    words: ['scrub', 'lab', 'a b.txt'],
    params: labFile,
    json: { ...labFile, pieces: 40, damaged_pieces: 2 },
    shows: /^2 of 40 pieces are damaged/,
  },
  {
    words: ['scrub', '--all'],
    method: 'scrub_status',
    params: { start: true },
    json: scrubbing,
    shows: /reads +lab a b\.txt, 50%\n[\s\S]*2 damaged, 1 repaired\n[\s\S]*lab +a b\.txt +not yet +2\n$/,
  },
  { words: ['status'], params: {}, json: status, shows: /leader +tracker 2/ },
  { words: ['tracker_status'], params: {}, json: trackers, shows: /1 +127\.0\.0\.1:5353 +leader +3 +9/ },
];

const test = suite('mt commands');
let server: ControlServer;

test.before(async () => {
  server = await ControlServer.start({
    whoami: () => ({ user_id: 'alice' }),
    status: () => status,
    list_sessions: () => ({ sessions }),
    list_groups: () => ({ groups }),
    list_members: () => ({ members }),
    list_requests: () => ({ requests }),
    list_files: () => ({ files }),
    list_seeders: () => ({ seeders }),
    upload_file: () => uploaded,
    download_file: () => fetched,
    show_downloads: () => ({ downloads: [row] }),
    limits: ({ up, down }) => ({ up: up ?? 0, down: down ?? 0 }),
    watch: ({ path, group_id }) => ({ path, group_id, new_watch: true }),
    unwatch: ({ path }) => ({ path, group_ids: ['lab'] }),
    list_watches: () => ({ watches }),
    show_shares: () => ({ shares }),
    relocate: ({ group_id, file_name, path }) => ({ group_id, file_name, path }),
    scrub: ({ group_id, file_name }) => ({ group_id, file_name, pieces: 40, damaged_pieces: 2 }),
    scrub_status: () => scrubbing,
    tracker_status: () => trackers,
  });
});
test.before.each(() => {
  server.calls.length = 0;
});
test.after(() => server.stop());

for (const { words, method = words[0]!, params, json, shows, input = '' } of CASES) {
  test(`mt ${words.join(' ')}`, async () => {
    const options = { socket: server.socketPath, cwd: '/tmp', input };
    const human = await mt(words, options);
    assert.is(human.stderr, '');
    assert.is(human.exit, 0);
    assert.match(human.stdout, shows);
    assert.equal(server.onlyCall, { method, params });
    assert.is(server.calls[0]!.params.timeout_ms, 10_000);

    server.calls.length = 0;
    const machine = await mt([...words, '--json', '--timeout', '2.5'], options);
    assert.is(machine.stderr, '');
    assert.is(machine.exit, 0);
    assert.equal(JSON.parse(machine.stdout), json);
    assert.is(machine.stdout.trimEnd().includes('\n'), false, 'one document on one line');
    assert.equal(server.onlyCall, { method, params });
    assert.is(server.calls[0]!.params.timeout_ms, 2_500);
  });
}

test('every command that asks the daemon has a case here', () => {
  const seen = new Set(CASES.map(({ words }) => words[0]));
  const elsewhere = new Set(['shell', 'completion', 'doctor', 'daemon']);
  assert.equal(
    COMMAND_NAMES.filter((name) => !seen.has(name) && !elsewhere.has(name)),
    [],
  );
});

test('--quiet silences confirmations, not answers', async () => {
  const quiet = { socket: server.socketPath };
  const created = await mt(['create_group', 'lab', '--quiet'], quiet);
  assert.equal([created.exit, created.stdout, created.stderr], [0, '', '']);
  const listed = await mt(['list_groups', '--quiet'], quiet);
  assert.match(listed.stdout, /lab/);
});

test('an empty listing says so on stderr, and nothing on stdout', async () => {
  const empty = await ControlServer.start({ list_groups: () => ({ groups: [] }), whoami: () => ({ user_id: null }) });
  try {
    const listed = await mt(['list_groups'], { socket: empty.socketPath });
    assert.is(listed.stdout, '');
    assert.match(listed.stderr, /create_group/);
    const nobody = await mt(['whoami'], { socket: empty.socketPath });
    assert.equal([nobody.exit, nobody.stdout], [0, '']);
    const json = await mt(['whoami', '--json'], { socket: empty.socketPath });
    assert.equal(JSON.parse(json.stdout), { user_id: null });
  } finally {
    await empty.stop();
  }
});

test('a listing longer than any pipe holds arrives whole', async () => {
  const many = Array.from({ length: 40_000 }, (_, index) => ({ ...files[0]!, file_name: `file ${index}` }));
  const large = await ControlServer.start({ list_files: () => ({ files: many }) });
  try {
    const { stdout } = await mt(['list_files', 'lab', '--json'], { socket: large.socketPath });
    assert.is(JSON.parse(stdout).files.length, 40_000);
  } finally {
    await large.stop();
  }
});

test('a newer daemon says more than this mt knows: what is known of it is shown, and a strange kind is named', async () => {
  const row = { ...files[0]!, kind: 'archive', colour: 'red' };
  const newer = await ControlServer.start(
    { list_files: () => ({ files: [row, ...files], sorted_by: 'age' }) },
    '9.9.9',
  );
  try {
    const { stdout, exit } = await mt(['list_files', 'lab'], { socket: newer.socketPath });
    assert.is(exit, 0);
    assert.match(stdout, `${row.file_name} (archive)`);
    const json = await mt(['list_files', 'lab', '--json'], { socket: newer.socketPath });
    assert.equal(JSON.parse(json.stdout), { files: [{ ...files[0]!, kind: 'archive' }, ...files] });
  } finally {
    await newer.stop();
  }
});

test.run();
