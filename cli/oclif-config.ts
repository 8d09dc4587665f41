// oclif's Config without its discovery: commands come from the command table, so no manifest, no plugin and no
// package.json is looked for on disk. Parsing, command classes and help stay oclif's own.

import type { Interfaces } from '@oclif/core';
import { Config } from '@oclif/core/config';
import { VERSION } from './version.ts';

const NAME = 'mini-torrent';
let loaded: Promise<Config> | null = null;

/** One Config a process. */
export function oclifConfig(): Promise<Config> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<Config> {
  const plugin = {
    name: NAME,
    version: VERSION,
    root: '/',
    type: 'core',
    valid: true,
    isRoot: true,
    hooks: {},
    topics: [],
    commands: [],
    commandIDs: [],
    pjson: { name: NAME, version: VERSION, oclif: { bin: 'mt', plugins: [] } },
  } as unknown as Interfaces.Plugin;
  return Config.load({ root: '/', plugins: new Map([[NAME, plugin]]), userPlugins: false, devPlugins: false });
}
