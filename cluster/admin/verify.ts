// mt-trackerd verify: every checksum, the hash chain, every manifest and snapshot of a data directory, and that applying the log again
// gives the state that the snapshot holds. Reads only, also while the tracker runs.
import { parseOptions, usage } from '../arguments.ts';
import { sha256 } from '../node/digest.ts';
import { manifestHashes } from '../state/lookups.ts';
import { stateHash } from '../state/state.ts';
import type { Archive } from '../store/archive.ts';
import { DamageError } from '../store/database.ts';
import { replay, restoreSnapshot } from '../store/replay.ts';
import { chooseDataDir } from './data-dir-option.ts';
import type { Subcommand } from './subcommand.ts';
import { withArchive } from './with-archive.ts';

export const verify: Subcommand = {
  usage: '[tracker_number] [--data-dir DIR]',
  summary: "check a data directory: checksums, hash chain, snapshot, manifests, the replayed state's hash",
  async run(argv, env) {
    const { values, positionals } = parseOptions(argv, { 'data-dir': { type: 'string' } });
    if (positionals.length > 1) throw usage('Too many arguments');
    const report = await withArchive(chooseDataDir(values['data-dir'], positionals[0], env), verifyArchive);
    process.stdout.write(`${report}\n`);
  },
};

/** @returns a report. @throws DamageError */
export function verifyArchive(archive: Archive): string {
  const snapshot = restoredSnapshot(archive);
  const { anchor, state, more } = replay(archive, sha256);
  let entryCount = 0;
  let compared = false;
  const compare = () => {
    if (snapshot === null || state.index !== snapshot.index) return;
    const same = Buffer.from(stateHash(state, sha256)).equals(stateHash(snapshot, sha256));
    if (!same) throw new DamageError(`the state replayed to ${state.index} is not the one of the snapshot`);
    compared = true;
  };
  for (const _ of more()) {
    entryCount++;
    compare();
  }
  let manifestCount = 0;
  for (const hash of manifestHashes(state)) {
    archive.manifests.require(hash);
    manifestCount++;
  }
  const start = anchor === 0 ? 'the first entry' : `the snapshot at ${anchor}`;
  const hash = Buffer.from(stateHash(state, sha256)).toString('hex');
  return [
    `${entryCount} entries verified from ${start} to ${state.index}: checksums and hash chain are right`,
    `${manifestCount} manifests are right`,
    snapshot
      ? `snapshot at ${snapshot.index} is right${compared ? ', and the replayed state equals it' : ''}`
      : 'no snapshot yet',
    `state hash at ${state.index}: ${hash}`,
  ].join('\n');
}

function restoredSnapshot(archive: Archive) {
  return archive.snapshots.newest().chunkCount === 0
    ? null
    : restoreSnapshot(archive.snapshots, archive.snapshots.newest(), sha256);
}
