import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseTrackerArguments } from '../../../cluster/arguments.ts';
import { type ErrorCode, isMtError } from '../../../codec/errors.ts';
import { loadSettings, printConfig } from '../../../codec/service/settings.ts';
import { parseArguments } from '../../../daemon/arguments.ts';

const TABLE = { dir: { kind: 'path' }, rate: { kind: 'text', env: 'OLD_RATE' }, eager: { kind: 'switch' } } as const;
const test = suite('settings');
let folder: string;
let env: NodeJS.ProcessEnv;

test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'mt-settings-'));
  env = { HOME: folder, XDG_CONFIG_HOME: join(folder, 'config') };
});
test.after.each(() => rmSync(folder, { recursive: true }));

function file(text: string, name = 'a.toml'): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function load(flags: Record<string, string | boolean>, more: NodeJS.ProcessEnv = {}) {
  return loadSettings({ program: 'mt-thing', table: TABLE, flags, env: { ...env, ...more } });
}

function refuses(code: ErrorCode, about: RegExp, work: () => unknown): void {
  try {
    work();
  } catch (error) {
    assert.ok(isMtError(error, code), String(error));
    return assert.match((error as Error).message, about);
  }
  assert.unreachable('it was accepted');
}

test('flags stand over the environment, which stands over the file, which stands over the default', () => {
  const config = file('rate = "file"\n');
  assert.is(load({}).get('rate'), undefined);
  assert.is(load({ config }).get('rate'), 'file');
  assert.is(load({ config }, { OLD_RATE: 'older' }).get('rate'), 'older');
  assert.is(load({ config }, { OLD_RATE: 'older', MT_THING_RATE: 'env' }).get('rate'), 'env');
  const all = load({ config, rate: 'flag' }, { MT_THING_RATE: 'env' });
  assert.is(all.get('rate'), 'flag');
  assert.equal([all.from('rate'), load({ config }).from('rate'), all.from('eager')], ['flag', 'file', 'default']);
  assert.is(load({ config }, { MT_THING_RATE: '' }).get('rate'), 'file', 'an empty variable is not set');
});

test('a path in a file is meant from where the file is', () => {
  const config = file('dir = "data"\n');
  assert.is(load({ config }).get('dir'), join(folder, 'data'));
  assert.is(load({ dir: 'data' }).get('dir'), join(process.cwd(), 'data'));
});

test('numbers and truths may be written as such', () => {
  const settings = load({ config: file('rate = 1024\neager = true\n') });
  assert.is(settings.get('rate'), '1024');
  assert.ok(settings.isOn('eager'));
  assert.not.ok(load({ config: file('eager = false\n') }).isOn('eager'));
  assert.ok(load({}, { MT_THING_EAGER: 'yes' }).isOn('eager'));
});

test('the file is found by name: --config, the environment, the configuration directory', () => {
  mkdirSync(join(folder, 'config', 'mini-torrent'), { recursive: true });
  file('rate = "default"', 'config/mini-torrent/mt-thing.toml');
  const other = file('rate = "other"', 'other.toml');
  assert.is(load({}).get('rate'), 'default');
  assert.is(load({}, { MT_THING_CONFIG: other }).get('rate'), 'other');
  assert.is(load({ config: file('rate = "flag"', 'flag.toml') }, { MT_THING_CONFIG: other }).get('rate'), 'flag');
  refuses('PATH_NOT_FOUND', /nowhere/, () => load({ config: join(folder, 'nowhere.toml') }));
});

test('what is not understood is refused, with the place', () => {
  refuses('INVALID_ARGUMENT', /a\.toml, line 2/, () => load({ config: file('rate = "1"\ndir = = "x"\n') }));
  refuses('INVALID_ARGUMENT', /"rat"/, () => load({ config: file('rat = "1"\n') }));
  refuses('INVALID_ARGUMENT', /rate takes/, () => load({ config: file('rate = [1]\n') }));
  refuses('INVALID_ARGUMENT', /rate takes/, () => load({ config: file('[rate]\nx = 1\n') }));
  refuses('INVALID_ARGUMENT', /eager.*"perhaps"/, () => load({ config: file('eager = "perhaps"\n') }));
  refuses('INVALID_ARGUMENT', /too large/, () => load({ config: file(`# ${'x'.repeat(70_000)}`) }));
});

test('what --print-config prints sets the same when read again', () => {
  const odd = 'quote " back\\slash \u00e9 \n end';
  const text = printConfig(load({}), { rate: odd, dir: '/a b', eager: true });
  const again = load({ config: file(text) });
  assert.equal([again.get('rate'), again.get('dir'), again.isOn('eager')], [odd, '/a b', true]);
});

test('mt-peerd takes all of its options from a file, and flags stand over it', () => {
  const config = file('address = "127.0.0.1:1"\ntracker-info = "t.txt"\nupload-limit = "2M"\nmetrics-port = 0\n');
  const args = parseArguments(['--config', config, '--upload-limit', '1M'], env);
  assert.equal(args.listen, { host: '127.0.0.1', port: 1 });
  assert.is(args.trackerInfoFile, join(folder, 't.txt'));
  assert.equal([args.uploadLimit, args.metricsPort, args.config], [1024 * 1024, 0, null]);
  const shown = parseArguments(['--config', config, '--print-config'], env).config!;
  assert.match(shown, `upload-limit = 2097152  # ${config}`);
  assert.match(shown, '# announce is not set');
  refuses('USAGE', /are needed/, () => parseArguments([], env));
  refuses('INVALID_ARGUMENT', /metrics-port/, () =>
    parseArguments(['--config', config, '--metrics-port', '70000'], env),
  );
});

test('mt-trackerd does so too', () => {
  const config = file('tracker-info = "t.txt"\ntracker-number = 2\ncluster-key = "k"\nlog-level = "debug"\n');
  const args = parseTrackerArguments(['--config', config], env);
  assert.equal([args.number, args.clusterKey, args.logLevel], [2, join(folder, 'k'), 'debug']);
  assert.is(args.metricsPort, null);
  assert.match(parseTrackerArguments(['--config', config, '--print-config'], env).config!, 'tracker-number = 2');
  refuses('USAGE', /log-level/, () => parseTrackerArguments(['--config', config, '--log-level', 'loud'], env));
  refuses('USAGE', /are needed/, () => parseTrackerArguments(['t.txt'], env));
});

test.run();
