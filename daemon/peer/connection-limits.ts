// How many peers may be connected at once, unless the user said otherwise.
import type { AdmissionLimits } from '../../codec/service/admission.ts';

/**
 * Links of all files together: room for 2,000 peers, and memory that stays bounded (about 60 KB each). One address may be a whole
 * team behind a router. Strangers have not shown a good ticket yet.
 */
export const PEER_CONNECTIONS_DEFAULT: AdmissionLimits = {
  total: 2_500,
  perAddress: 512,
  strangers: 512,
  strangersPerAddress: 128,
};
