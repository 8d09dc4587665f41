/** The core's assertion. A failure is a bug or a broken disk, never a bad peer: it must end the process. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(`raft invariant broken: ${message}`);
}
