// What a user hears when a share is not there, or when the trackers do not know yet what became of it.
import { MtError, toMtError } from '../../codec/errors.ts';
import type { FileRef } from '../download/types.ts';

export function notSharedHere({ groupId, fileName }: FileRef): MtError {
  return new MtError(
    'NO_SUCH_SHARE',
    `"${fileName}" of group ${groupId} is not shared from here`,
    'See what is: mt show_shares',
  );
}

/** It ended here, and the trackers could not be told. */
export function endedUntold(caught: unknown): MtError {
  const error = toMtError(caught);
  return new MtError(
    error.code,
    `It is no longer shared from here, but the trackers do not know yet: ${error.message}`,
    'The daemon tells them as soon as it can.',
  );
}

/** A finished download that the trackers did not take as a share. @param isShare they will be told again. */
export function lateWarning(isShare: boolean, caught: unknown): string {
  const why = caught instanceof MtError ? caught.message : 'the trackers did not answer';
  return isShare
    ? `The file is complete; the trackers do not know yet that it is shared from here (${why}). The daemon tells them when it can.`
    : `The file is complete, but it is not shared on: ${why}.`;
}
