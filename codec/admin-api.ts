// The conversation between `mt-trackerd <subcommand>` and any tracker: who administers the cluster. Whoever holds the cluster key
// may: the connection's certificate is one of a tracker with number 0, and trackers count from 1. A tracker that does not lead
// passes an action on to the leader (tracker-link.ts).
import * as v from 'valibot';
import { addressSchema, countSchema } from './ids.ts';
import type { Api } from './rpc.ts';
import { trackerStatusSchema } from './tracker-rpc.ts';

/** Number in the certificate of whoever administers. */
export const ADMIN_NUMBER = 0;
export const adminHelloSchema = v.strictObject({ role: v.literal('admin') });

const positive = v.pipe(countSchema, v.minValue(1));
export const adminActionSchema = v.variant('type', [
  /** Gives a new tracker at that address the next number. */
  v.strictObject({ type: v.literal('add_member'), address: addressSchema }),
  v.strictObject({ type: v.literal('remove_member'), number: positive }),
  /** Null: to whoever is best fit. */
  v.strictObject({ type: v.literal('transfer_leader'), number: v.nullable(positive) }),
]);
export type AdminAction = v.InferOutput<typeof adminActionSchema>;
/** The tracker that was added or removed, or that leads now. */
export const adminResultSchema = v.strictObject({ number: countSchema });
export type AdminResult = v.InferOutput<typeof adminResultSchema>;

const userLimit = v.pipe(positive, v.maxValue(999_999_999));

export const adminApi = {
  members: { params: v.strictObject({}), result: trackerStatusSchema },
  /** What one user may have: sets what is not null, and answers what holds now. */
  limits: {
    params: v.strictObject({ groups_per_user: v.nullable(userLimit), files_per_user: v.nullable(userLimit) }),
    result: v.strictObject({ groups_per_user: countSchema, files_per_user: countSchema }),
  },
  administer: { params: v.strictObject({ action: adminActionSchema }), result: adminResultSchema },
} as const satisfies Api;
export type AdminApi = typeof adminApi;
export type UserLimitsChange = v.InferOutput<(typeof adminApi)['limits']['params']>;
