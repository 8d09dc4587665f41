// Volumes that an earlier version wrote (test/fixtures) under the image of today: opened in place, and written on.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PROJECT } from '../harness/program.ts';
import { testOrSkip } from '../harness/skip.ts';
import { until } from '../harness/until.ts';
import { IMAGE, whyNoContainers } from './engine.ts';
import { docker } from './guide.ts';

const FIXTURES = join(PROJECT, 'test', 'fixtures');
const LABEL = ['--label', 'org.testcontainers=true'];
const READY_MS_MAX = 30_000;
const reason = await whyNoContainers();
const test = suite('containers: upgrade');

for (const format of globSync('data-format-*', { cwd: FIXTURES }).sort()) {
  testOrSkip(test, `${format} in its volume`, reason, async () => {
    const name = `mt-upgrade-${randomBytes(4).toString('hex')}`;
    const peer = `${name}-peer`;
    docker('volume', 'create', ...LABEL, name);
    try {
      const fill = 'cp -r /fixture/. /data && chown -R 1000:1000 /data && chmod -R go-rwx /data';
      const mounts = ['-v', `${name}:/data`, '-v', `${join(FIXTURES, format)}:/fixture:ro`];
      docker('run', '--rm', ...LABEL, '--user', '0', ...mounts, IMAGE, 'sh', '-c', fill);
      const tracker = ['mt-trackerd', '/data/trackers.txt', '1', '--data-dir', '/data/tracker-1'];
      const data = ['-v', `${name}:/data`];
      docker('run', '-d', ...LABEL, '--name', name, ...data, IMAGE, ...tracker, '--cluster-key', '/data/cluster.key');
      // The fixture's addresses are of one machine's loopback.
      const daemon = ['mt-peerd', '127.99.99.100:18000', '/data/trackers.txt', '--data-dir', '/data/peer'];
      const own = ['-e', 'MT_PEERD_METRICS_PORT=9465', '-e', 'MT_SOCKET=/tmp/s', '--network', `container:${name}`];
      docker('run', '-d', ...LABEL, '--name', peer, ...own, ...data, IMAGE, ...daemon);
      for (const container of [name, peer]) {
        await until(`${container} is ready`, () => logs(container).includes(' ready on '), {
          timeoutMs: READY_MS_MAX,
          everyMs: 100,
        });
      }
      const mt = (...words: string[]) => JSON.parse(docker('exec', peer, 'mt', ...words, '--json')) as unknown;
      assert.equal(mt('whoami'), { user_id: 'ann' });
      const { files } = mt('list_files', 'lab') as { files: { file_name: string; kind?: string }[] };
      assert.equal(
        files.map(({ file_name, kind }) => [file_name, kind]),
        [['kept.bin', undefined], ...(format === 'data-format-1' ? [] : [['tree', 'directory']])],
      );
      assert.equal(mt('create_group', 'after'), { group_id: 'after' });
      docker('stop', '-t', '10', peer, name);
      for (const container of [name, peer]) {
        assert.is(docker('inspect', '-f', '{{.State.ExitCode}}', container), '0');
      }
    } catch (error) {
      console.error(logs(name), logs(peer));
      throw error;
    } finally {
      spawnSync('docker', ['rm', '-fv', peer, name]);
      docker('volume', 'rm', name);
    }
  });
}

function logs(container: string): string {
  const { stdout, stderr } = spawnSync('docker', ['logs', container], { encoding: 'utf8' });
  return stdout + stderr;
}

test.run();
