// oclif's Config without its discovery: commands come from the command table, so no manifest, no plugin and no
// package.json is looked for on disk. Parsing, command classes and help stay oclif's own.
import { Config } from '@oclif/core/config';
import { VERSION } from './version.ts';

let made: Config | null = null;

/** One Config a process. It is never `load()`ed: that is what searches the disk. */
export function oclifConfig(): Config {
  if (made === null) {
    made = new Config({ root: '/' });
    made.name = 'mini-torrent';
    made.bin = 'mt';
    made.version = VERSION;
  }
  return made;
}
