// What heartbeats tell beside "I live": how much of a file a daemon can give, to this tracker and on to the others.
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Leases } from '../../cluster/node/leases.ts';
import { encodeCbor } from '../../codec/cbor.ts';
import { FILE_NAME_BYTES_MAX, ID_LENGTH_MAX, RPC_PAYLOAD_BYTES_MAX } from '../../codec/limits.ts';
import { LEASES_PER_REPORT_MAX, PROGRESS_PER_REPORT_MAX } from '../../codec/tracker-link.ts';

const test = suite('leases');
const file = (name: string, pieces: number) => ({ group_id: 'g', file_name: name, pieces });

test('what is left of a share holds until a heartbeat says otherwise, and each change is told', () => {
  const told: string[] = [];
  const leases = new Leases((session, group, name) => told.push(`${session} ${group} ${name}`));
  leases.heartbeat('s', 1, { downloads: [file('d', 3)], shortfalls: [file('a/b', 0), file('c', 5)] }, 0);
  assert.is(leases.piecesOf('s', 'g', 'd'), 3);
  assert.is(leases.shortfallOf('s', 'g', 'a/b'), 0);
  assert.is(leases.shortfallOf('s', 'g', 'd'), null, 'a download is no shortfall');
  assert.is(leases.shortfallOf('t', 'g', 'c'), null);
  leases.heartbeat('s', 1, { downloads: [], shortfalls: [file('c', 6)] }, 0);
  leases.heartbeat('s', 1, { downloads: [], shortfalls: [file('c', 6)] }, 0);
  leases.heartbeat('s', 1, { downloads: [], shortfalls: [] }, 0);
  assert.is(leases.shortfallOf('s', 'g', 'c'), null);
  assert.is(leases.piecesOf('s', 'g', 'd'), 0);
  assert.equal(told, ['s g a/b', 's g c', 's g c', 's g a/b', 's g c']);
});

test('the other trackers hear it, in reports that each fit a message', () => {
  const [here, there] = [new Leases(), new Leases()];
  for (const session of ['s', 't', 'u']) {
    here.heartbeat(session, 1, { downloads: [file('d', 1)], shortfalls: [file('x', 0), file('y', 2)] }, 0);
  }
  const reports = here.takeReports(100, 6);
  assert.equal(
    reports.map(({ leases, progress, shortfalls }) => [leases.length, progress.length, shortfalls.length]),
    [
      [2, 2, 4],
      [1, 1, 2],
    ],
  );
  for (const report of reports) there.reported(report.leases, report, 0);
  for (const session of ['s', 't', 'u']) {
    assert.is(there.shortfallOf(session, 'g', 'x'), 0);
    assert.is(there.shortfallOf(session, 'g', 'y'), 2);
    assert.is(there.piecesOf(session, 'g', 'd'), 1);
  }
  assert.equal(here.takeReports(100, 6), [], 'only news');
  for (let i = 0; i < 5; i++) here.heartbeat(`many-${i}`, 1, { downloads: [], shortfalls: [] }, 0);
  assert.is(here.takeReports(2, 6).length, 3);
  there.reported([['s', 1]], { progress: [], shortfalls: [] }, 0);
  assert.is(there.shortfallOf('s', 'g', 'x'), null, 'whole again');
});

test('the largest report, names as long as they may be, fits a message', () => {
  const session = 'f'.repeat(32);
  const row = [session, 'g'.repeat(ID_LENGTH_MAX), 'n'.repeat(FILE_NAME_BYTES_MAX), 8_192];
  const report = {
    sessions: Array.from({ length: LEASES_PER_REPORT_MAX }, () => [session, 2 ** 52]),
    downloads: Array.from({ length: PROGRESS_PER_REPORT_MAX }, () => row),
    shortfalls: [],
  };
  assert.ok(encodeCbor([2 ** 40, 'report_leases', report, 10_000]).length < RPC_PAYLOAD_BYTES_MAX);
});

test.run();
