// The shape of a subcommand of mt-trackerd; table.ts lists them.
export interface Subcommand {
  /** Without `mt-trackerd <name>`. */
  readonly usage: string;
  readonly summary: string;
  /** Writes its answer to stdout. @throws MtError */
  run(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> | void;
}
