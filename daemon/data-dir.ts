// The data directory, the place of this daemon's key and certificate, and what a second daemon that wants it is told.
import { execFile } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chmodSync, closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MtError } from '../codec/errors.ts';
import { fingerprintOf, type TlsIdentity } from '../codec/identity.ts';
import { type Address, formatAddress } from '../codec/ids.ts';
import { holdPrivateDir } from '../codec/service/private-dir.ts';
import { shellWord } from '../codec/shell-word.ts';
import type { DaemonArguments } from './arguments.ts';
import { stateError } from './disk/disk-error.ts';
import { workerUrl } from './disk/worker-url.ts';
import { dataFiles } from './paths.ts';

export interface DataDir {
  readonly files: ReturnType<typeof dataFiles>;
  /** Says who runs here, for the message of a second daemon that is refused. */
  announce(address: Address, socket: string): void;
  release(): void;
}

/**
 * Makes the directory (0700) if need be and takes its lock.
 * @throws MtError DATA_DIR_LOCKED with the command that starts another daemon, PERMISSION, DISK_FULL.
 */
export function openDataDir(args: DaemonArguments): DataDir {
  const { dataDir } = args;
  const files = dataFiles(dataDir);
  let release: (() => void) | null;
  try {
    release = holdPrivateDir(dataDir, files);
  } catch (cause) {
    throw stateError(`The data directory ${dataDir} cannot be used`, cause);
  }
  if (!release) throw locked(args, files.running);
  return {
    files,
    announce: (address, socket) =>
      writeFileSync(files.running, JSON.stringify({ pid: process.pid, address, socket }), { mode: 0o600 }),
    release,
  };
}

/**
 * The daemon's key and certificate: made at the first start, read ever after.
 * @throws MtError INTERNAL when the file is there but damaged.
 */
export async function loadIdentity(path: string): Promise<TlsIdentity> {
  let text = readIfThere(path);
  if (text === null) {
    text = await makeIdentity();
    writeDurably(path, text);
  }
  if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600);
  const keyPem = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(text)?.[0];
  const certPem = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(text)?.[0];
  try {
    const certificate = new X509Certificate(certPem!);
    if (!certificate.checkPrivateKey(createPrivateKey(keyPem!))) throw new Error('key and certificate do not match');
    return { keyPem: keyPem!, certPem: certPem!, fingerprint: fingerprintOf(certificate.publicKey) };
  } catch (cause) {
    throw new MtError(
      'INTERNAL',
      `This daemon's key in ${path} is damaged`,
      'Restore it from a backup, or move it away: a new one is made at the next start, and users log in again.',
      { cause },
    );
  }
}

/** Key and certificate as the file has them, from a process that ends before this returns (identity-worker.ts says why). */
function makeIdentity(): Promise<string> {
  const program = fileURLToPath(workerUrl('identity-worker', import.meta.url));
  return new Promise((resolve, reject) => {
    // Not promisified: that error would hold the output, and the output is a key.
    execFile(process.execPath, [program], (error, text) => (error ? reject(error) : resolve(text)));
  });
}

function locked(args: DaemonArguments, runningFile: string): MtError {
  const holder = readHolder(runningFile);
  const port = holder?.port === args.listen.port ? args.listen.port + 1 : args.listen.port;
  const other = `${args.dataDir}-2`;
  const command = [
    'mt-peerd',
    formatAddress({ host: args.listen.host, port }),
    args.trackerInfoFile,
    '--data-dir',
    other,
    '--socket',
    join(other, 'peerd.sock'),
  ];
  return new MtError(
    'DATA_DIR_LOCKED',
    `Another mt-peerd${holder ? ` (process ${holder.pid})` : ''} runs on the data directory ${args.dataDir}`,
    `To start another one beside it: ${command.map(shellWord).join(' ')}`,
  );
}

function readHolder(path: string): { pid: number; port: number } | null {
  try {
    const { pid, address } = JSON.parse(readFileSync(path, 'utf8'));
    return Number.isSafeInteger(pid) && Number.isSafeInteger(address?.port) ? { pid, port: address.port } : null;
  } catch {
    return null;
  }
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw stateError(`${path} cannot be read`, cause);
  }
}

/** All of it or nothing, also after a power cut. */
function writeDurably(path: string, text: string): void {
  const temporary = `${path}.new`;
  try {
    const fd = openSync(temporary, 'w', 0o600);
    writeFileSync(fd, text);
    fsyncSync(fd);
    closeSync(fd);
    renameSync(temporary, path);
    const folder = openSync(dirname(path), 'r');
    fsyncSync(folder);
    closeSync(folder);
  } catch (cause) {
    throw stateError(`${path} cannot be written`, cause);
  }
}
