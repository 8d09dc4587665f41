// Every command, under the name as typed: the one list that running, help, completion and suggestions share.
// Loading is lazy: a run pays for one command only.
import type { MtCommandClass } from './base-command.ts';

type Load = () => Promise<{ default: MtCommandClass }>;

/** In the order of the help, by subject. */
const COMMANDS = {
  create_user: () => import('./commands/create_user.ts'),
  login: () => import('./commands/login.ts'),
  logout: () => import('./commands/logout.ts'),
  whoami: () => import('./commands/whoami.ts'),
  change_password: () => import('./commands/change_password.ts'),
  sessions: () => import('./commands/sessions.ts'),
  revoke_session: () => import('./commands/revoke_session.ts'),

  create_group: () => import('./commands/create_group.ts'),
  join_group: () => import('./commands/join_group.ts'),
  leave_group: () => import('./commands/leave_group.ts'),
  list_groups: () => import('./commands/list_groups.ts'),
  list_members: () => import('./commands/list_members.ts'),
  list_requests: () => import('./commands/list_requests.ts'),
  accept_request: () => import('./commands/accept_request.ts'),
  reject_request: () => import('./commands/reject_request.ts'),
  remove_member: () => import('./commands/remove_member.ts'),
  transfer_ownership: () => import('./commands/transfer_ownership.ts'),

  upload_file: () => import('./commands/upload_file.ts'),
  watch: () => import('./commands/watch.ts'),
  unwatch: () => import('./commands/unwatch.ts'),
  list_files: () => import('./commands/list_files.ts'),
  list_seeders: () => import('./commands/list_seeders.ts'),
  show_shares: () => import('./commands/show_shares.ts'),
  relocate: () => import('./commands/relocate.ts'),
  scrub: () => import('./commands/scrub.ts'),
  stop_share: () => import('./commands/stop_share.ts'),
  remove_file: () => import('./commands/remove_file.ts'),

  download_file: () => import('./commands/download_file.ts'),
  show_downloads: () => import('./commands/show_downloads.ts'),
  pause_download: () => import('./commands/pause_download.ts'),
  resume_download: () => import('./commands/resume_download.ts'),
  cancel_download: () => import('./commands/cancel_download.ts'),
  limits: () => import('./commands/limits.ts'),

  status: () => import('./commands/status.ts'),
  tracker_status: () => import('./commands/tracker_status.ts'),
  doctor: () => import('./commands/doctor.ts'),
  daemon: () => import('./commands/daemon.ts'),

  shell: () => import('./commands/shell.ts'),
  completion: () => import('./commands/completion.ts'),
} as const satisfies Record<string, Load>;

export type CommandName = keyof typeof COMMANDS;

export const ALIASES: Readonly<Record<string, CommandName>> = { list_file: 'list_files' };

export const SUBJECTS: readonly { title: string; commands: readonly CommandName[] }[] = [
  {
    title: 'ACCOUNT',
    commands: ['create_user', 'login', 'logout', 'whoami', 'change_password', 'sessions', 'revoke_session'],
  },
  {
    title: 'GROUPS',
    commands: [
      'create_group',
      'join_group',
      'leave_group',
      'list_groups',
      'list_members',
      'list_requests',
      'accept_request',
      'reject_request',
      'remove_member',
      'transfer_ownership',
    ],
  },
  {
    title: 'FILES',
    commands: [
      'upload_file',
      'watch',
      'unwatch',
      'list_files',
      'list_seeders',
      'show_shares',
      'relocate',
      'scrub',
      'stop_share',
      'remove_file',
    ],
  },
  {
    title: 'DOWNLOADS',
    commands: ['download_file', 'show_downloads', 'pause_download', 'resume_download', 'cancel_download', 'limits'],
  },
  { title: 'STATE', commands: ['status', 'tracker_status', 'doctor', 'daemon'] },
  { title: 'TERMINAL', commands: ['shell', 'completion'] },
];

export const COMMAND_NAMES: readonly CommandName[] = Object.keys(COMMANDS) as CommandName[];

/** The command of this name or alias, or undefined. */
export function commandNamed(word: string): CommandName | undefined {
  if (Object.hasOwn(COMMANDS, word)) return word as CommandName;
  return Object.hasOwn(ALIASES, word) ? ALIASES[word] : undefined;
}

export async function loadCommand(name: CommandName): Promise<MtCommandClass> {
  const module = await (COMMANDS[name] as Load)();
  const command = module.default as MtCommandClass & { id: string };
  command.id = name;
  return command;
}
