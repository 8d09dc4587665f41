// The first frame of every conversation, in both directions: who speaks which protocol versions. No overlap is a clear error.
import * as v from 'valibot';
import { MtError } from './errors.ts';
import { countSchema } from './ids.ts';
import { PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MIN } from './limits.ts';

export const versionRangeSchema = v.strictObject({ min: countSchema, max: countSchema });
export type VersionRange = v.InferOutput<typeof versionRangeSchema>;

export const OWN_VERSIONS: VersionRange = { min: PROTOCOL_VERSION_MIN, max: PROTOCOL_VERSION_MAX };

/**
 * The highest version both sides speak.
 * @throws MtError PROTOCOL_VERSION when there is none.
 */
export function agreeOnVersion(own: VersionRange, other: VersionRange): number {
  const version = Math.min(own.max, other.max);
  if (version >= own.min && version >= other.min) return version;
  throw new MtError(
    'PROTOCOL_VERSION',
    `No common protocol version: this program speaks ${own.min} to ${own.max}, the other side ${other.min} to ${other.max}`,
    other.max < own.min ? 'Update the other side.' : 'Update this program.',
  );
}
