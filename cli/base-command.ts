// What every command shares: the flags, one connection to the daemon, and the two forms of output.
// stdout carries the answer; everything else goes to stderr, and nothing at all with --quiet.
import { resolve } from 'node:path';
import type { Config, Interfaces } from '@oclif/core';
import { Command } from '@oclif/core/command';
import * as Flags from '@oclif/core/flags';
import * as Parser from '@oclif/core/parser';
import type { ControlApi } from '../codec/control-api.ts';
import type { ErrorCode } from '../codec/errors.ts';
import type { EventOf, Params, Result } from '../codec/rpc.ts';
import { ControlClient, type ControlMethod } from './control-client.ts';
import { parseTimeout } from './render/units.ts';
import { socketPath } from './socket-path.ts';

export interface BaseFlags {
  socket?: string | undefined;
  timeout: string;
  json: boolean;
  quiet: boolean;
  'no-input': boolean;
}

/** An oclif command class of ours, with what the help and the shell read from it. */
export interface MtCommandClass {
  new (argv: string[], config: Config): BaseCommand;
  description?: string;
  args: Interfaces.ArgInput;
  flags: Interfaces.FlagInput;
  examples?: Command.Example[];
  aliases: string[];
  hidden: boolean;
  /** Codes that this command in particular gives; those that any command gives are added by the help. */
  errors: readonly ErrorCode[];
}

const DEFAULT_TIMEOUT_SECONDS = '10';

export abstract class BaseCommand extends Command {
  static override baseFlags = {
    json: Flags.boolean({ description: 'Print one JSON document, errors too', helpGroup: 'GLOBAL' }),
    quiet: Flags.boolean({ description: 'Print no confirmations and no progress', helpGroup: 'GLOBAL' }),
    socket: Flags.string({
      description: "The daemon's socket (default: as MT_SOCKET says)",
      helpGroup: 'GLOBAL',
      helpValue: 'PATH',
    }),
    timeout: Flags.string({
      description: 'How long to wait for a quorum of the trackers',
      default: DEFAULT_TIMEOUT_SECONDS,
      helpGroup: 'GLOBAL',
      helpValue: 'SECONDS',
    }),
    'no-input': Flags.boolean({ description: 'Never ask for anything', helpGroup: 'GLOBAL' }),
  };
  static override flags: Interfaces.FlagInput = {};
  static override hidden = false;
  static errors: readonly ErrorCode[] = [];

  /** What the process ends with after a run without an error: the shell passes on that of its last line. */
  exitNumber = 0;
  /** Aborted by Ctrl-C. Set by the runner before `execute`. */
  signal: AbortSignal = new AbortController().signal;
  #globals: BaseFlags | null = null;
  #client: ControlClient | null = null;

  /** Runs the command and closes its connection, whatever happens. Errors are the runner's to report. */
  async execute(): Promise<void> {
    try {
      await this.run();
    } finally {
      this.#client?.close();
      this.#client = null;
    }
  }

  /** Parses this command's own arguments and flags, and keeps the common ones. */
  protected async parseLine<T extends MtCommandClass>(
    command: T,
  ): Promise<{
    args: Interfaces.InferredArgs<T['args']>;
    flags: Interfaces.InferredFlags<T['flags']> & BaseFlags;
  }> {
    // Not Command.parse: that asks the plugins for their hooks first, and we have none.
    const input = { context: this, args: command.args, flags: { ...command.flags, ...BaseCommand.baseFlags } };
    const { args, flags } = await Parser.parse(this.argv, input as unknown as Parameters<typeof Parser.parse>[1]);
    for (const [name, { type }] of Object.entries({ ...command.flags, ...BaseCommand.baseFlags })) {
      if (type === 'boolean') flags[name] ??= false; // oclif leaves it undefined, whatever its types say
    }
    this.#globals = flags as unknown as BaseFlags;
    parseTimeout(this.#globals.timeout);
    return { args, flags } as never;
  }

  protected get globals(): BaseFlags {
    return this.#globals!;
  }

  protected get timeoutMs(): number {
    return parseTimeout(this.globals.timeout);
  }

  protected async client(): Promise<ControlClient> {
    this.#client ??= await ControlClient.open(socketPath(this.globals.socket, process.env), {
      signal: this.signal,
      timeoutMs: this.timeoutMs,
    });
    return this.#client;
  }

  /** One request to the daemon; `unbounded` for work that takes as long as it takes. */
  protected async ask<M extends ControlMethod>(
    method: M,
    params: Params<ControlApi, M>,
    options: { unbounded?: boolean; onEvent?: (item: EventOf<ControlApi, M>) => void } = {},
  ): Promise<Result<ControlApi, M>> {
    const client = await this.client();
    return client.call(method, params, { signal: this.signal, timeoutMs: this.timeoutMs, ...options });
  }

  /** The answer: `json` as one document with --json, else the lines that `text` makes of it. */
  protected answer(json: object, text: () => string): void {
    const shown = this.globals.json ? JSON.stringify(json) : text();
    if (shown !== '') process.stdout.write(`${shown}\n`);
  }

  /** That a command did what it says: the answer of those that have no other. Silent with --quiet. */
  protected done(json: object, sentence: string): void {
    this.answer(json, () => (this.globals.quiet ? '' : sentence));
  }

  /** A remark that is not part of the answer, on stderr. */
  protected note(sentence: string): void {
    if (!this.globals.json && !this.globals.quiet) process.stderr.write(`${sentence}\n`);
  }

  /** A warning is never part of the answer, but matters to programs too: on stderr in both forms. */
  protected warning(sentence: string): void {
    if (!this.globals.quiet) process.stderr.write(`Warning: ${sentence}\n`);
  }

  /** A path as the user typed it, in the user's own working directory. A closing slash (a directory is meant) stays. */
  protected absolutePath(typed: string): string {
    const path = resolve(typed);
    return typed.endsWith('/') && path !== '/' ? `${path}/` : path;
  }
}
