// The subcommands of mt-trackerd: one file each, listed here.
import { backup } from './backup.ts';
import { events } from './events.ts';
import { init } from './init.ts';
import { limits } from './limits.ts';
import { members } from './members.ts';
import { recover } from './recover.ts';
import { replayCommand } from './replay.ts';
import type { Subcommand } from './subcommand.ts';
import { transferLeader } from './transfer-leader.ts';
import { verify } from './verify.ts';

export const SUBCOMMANDS: Readonly<Record<string, Subcommand>> = {
  init,
  members,
  limits,
  'transfer-leader': transferLeader,
  events,
  replay: replayCommand,
  verify,
  backup,
  recover,
};
