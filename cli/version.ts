// The package's version, for the daemon's hello and `mt --version`.
import manifest from '../package.json' with { type: 'json' };

export const VERSION: string = manifest.version;
