// The dumb model: the same rules in the plainest form, with lists that are searched from end to end. It shares no code with
// cluster/state, and knows neither indexes, hashes nor snapshots: what both agree on is likely what was meant.
import type { ErrorCode } from '../../codec/errors.ts';

export type Outcome = ErrorCode | 'ok';

interface ModelShare {
  user: string;
  daemon: string;
  complete: boolean;
}
interface ModelFile {
  name: string;
  content: string;
  publisher: string;
  shares: ModelShare[];
}
interface ModelGroup {
  id: string;
  owner: string;
  /** In joining order. */
  members: string[];
  requests: string[];
  files: ModelFile[];
}
interface ModelSession {
  user: string;
  daemon: string;
  online: boolean;
}

/** One step by a daemon; fields that a type does not need are ignored. */
export interface Step {
  readonly type: StepType;
  readonly daemon: string;
  readonly user: string;
  readonly group: string;
  readonly file: string;
  readonly content: string;
}
export const STEP_TYPES = [
  'create_user',
  'login',
  'logout',
  'resume',
  'expire',
  'create_group',
  'join_group',
  'leave_group',
  'accept_request',
  'reject_request',
  'remove_member',
  'transfer_ownership',
  'share_file',
  'begin_download',
  'record_share',
  'stop_share',
  'remove_file',
] as const;
export type StepType = (typeof STEP_TYPES)[number];

export class Model {
  users: string[] = [];
  sessions: ModelSession[] = [];
  groups: ModelGroup[] = [];

  run(step: Step): Outcome {
    const { type, daemon } = step;
    if (type === 'create_user') return this.#createUser(step.user);
    if (type === 'login') return this.#login(step.user, daemon);
    const session = this.sessions.find((one) => one.daemon === daemon);
    if (type === 'expire') {
      if (session) session.online = false;
      return 'ok';
    }
    if (!session) return 'NOT_LOGGED_IN';
    if (type === 'logout') {
      this.sessions = this.sessions.filter((one) => one !== session);
      return 'ok';
    }
    if (type === 'resume') {
      session.online = true;
      return 'ok';
    }
    return this.#inGroups(step, session.user);
  }

  #createUser(user: string): Outcome {
    if (this.users.includes(user)) return 'USER_EXISTS';
    this.users.push(user);
    return 'ok';
  }

  #login(user: string, daemon: string): Outcome {
    if (!this.users.includes(user)) return 'BAD_CREDENTIALS';
    this.sessions = this.sessions.filter((one) => one.daemon !== daemon);
    this.sessions.push({ user, daemon, online: true });
    return 'ok';
  }

  #inGroups(step: Step, me: string): Outcome {
    const group = this.groups.find((one) => one.id === step.group);
    if (step.type === 'create_group') {
      if (group) return 'GROUP_EXISTS';
      this.groups.push({ id: step.group, owner: me, members: [me], requests: [], files: [] });
      return 'ok';
    }
    if (!group) return 'NO_SUCH_GROUP';
    switch (step.type) {
      case 'join_group':
        if (group.members.includes(me)) return 'ALREADY_MEMBER';
        if (group.requests.includes(me)) return 'ALREADY_REQUESTED';
        group.requests.push(me);
        return 'ok';
      case 'leave_group':
        if (group.requests.includes(me)) group.requests = group.requests.filter((user) => user !== me);
        else if (group.members.includes(me)) this.#depart(group, me);
        else return 'NOT_MEMBER';
        return 'ok';
      case 'accept_request':
      case 'reject_request':
      case 'remove_member':
      case 'transfer_ownership':
        return group.owner === me ? this.#decide(step, group) : 'NOT_OWNER';
      default:
        return group.members.includes(me) ? this.#inFiles(step, group, me) : 'NOT_MEMBER';
    }
  }

  #decide({ type, user }: Step, group: ModelGroup): Outcome {
    if (type === 'accept_request' || type === 'reject_request') {
      if (!group.requests.includes(user)) return 'NO_SUCH_REQUEST';
      group.requests = group.requests.filter((one) => one !== user);
      if (type === 'accept_request') group.members.push(user);
      return 'ok';
    }
    if (!group.members.includes(user)) return 'NO_SUCH_MEMBER';
    if (user === group.owner) return 'INVALID_ARGUMENT';
    if (type === 'remove_member') this.#depart(group, user);
    else group.owner = user;
    return 'ok';
  }

  #depart(group: ModelGroup, user: string): void {
    group.members = group.members.filter((one) => one !== user);
    for (const file of group.files) file.shares = file.shares.filter((share) => share.user !== user);
    this.#sweep(group);
    if (group.members.length === 0) this.groups = this.groups.filter((one) => one !== group);
    else if (group.owner === user) group.owner = group.members[0]!;
  }

  #inFiles({ type, daemon, file: name, content }: Step, group: ModelGroup, me: string): Outcome {
    const file = group.files.find((one) => one.name === name);
    const mine = file?.shares.find((share) => share.user === me && share.daemon === daemon);
    const take = (complete: boolean) => {
      if (!mine) file!.shares.push({ user: me, daemon, complete });
      else if (complete) mine.complete = true;
    };
    if (type === 'share_file') {
      if (!file) {
        const shares = [{ user: me, daemon, complete: true }];
        group.files.push({ name, content, publisher: me, shares });
        return 'ok';
      }
      if (file.content !== content) return 'FILE_EXISTS';
      if (mine?.complete) return 'ALREADY_SHARED';
      take(true);
      return 'ok';
    }
    if (!file) return 'NO_SUCH_FILE';
    if (type === 'begin_download' || type === 'record_share') {
      if (file.content !== content) return 'NO_SUCH_FILE';
      take(type === 'record_share');
    } else if (type === 'stop_share') {
      if (!mine) return 'NO_SUCH_SHARE';
      file.shares = file.shares.filter((share) => share !== mine);
      this.#sweep(group);
    } else {
      if (group.owner !== me && file.publisher !== me) return 'FORBIDDEN';
      group.files = group.files.filter((one) => one !== file);
    }
    return 'ok';
  }

  /** Files that nobody has whole leave the group. */
  #sweep(group: ModelGroup): void {
    group.files = group.files.filter((file) => file.shares.some((share) => share.complete));
  }
}
