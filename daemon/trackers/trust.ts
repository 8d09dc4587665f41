// Which cluster this daemon trusts: key lines of the tracker info file, else the key it learned on first use.
// Off loopback there is no first use unless the user says so. Owns the pins and the cluster's public keys; opens no connection.
import { createPublicKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { MtError } from '../../codec/errors.ts';
import { fingerprintOf, verifyTrackerChain } from '../../codec/identity.ts';
import { type Address, formatAddress } from '../../codec/ids.ts';
import { isLoopback } from '../../codec/tracker-info.ts';
import type { SettingsStore } from '../store/settings-store.ts';

export class ClusterTrust {
  readonly #settings: SettingsStore;
  /** From the tracker info file: when it names keys, no other counts, whatever was learned before. */
  readonly #named: readonly string[];
  readonly #trustFirstUse: boolean;
  #keys: readonly KeyObject[];

  constructor(settings: SettingsStore, namedFingerprints: readonly string[], trustFirstUse: boolean) {
    this.#settings = settings;
    this.#named = namedFingerprints;
    this.#trustFirstUse = trustFirstUse;
    this.#keys = this.#load();
  }

  /** Public keys that tickets may be signed with; empty until a tracker was met. */
  get keys(): readonly KeyObject[] {
    return this.#keys;
  }

  /**
   * Checks the certificates of a tracker at `address` and returns its number. Learns nothing yet: see `accept`.
   * @throws MtError UNTRUSTED_CLUSTER with the fingerprint that was seen.
   */
  check(chain: readonly X509Certificate[], address: Address, nowMs: number): ReturnType<typeof verifyTrackerChain> {
    const pins = this.#named.length > 0 ? this.#named : this.#keys.map(fingerprintOf);
    const isPinned = (seen: string, companion: string | null): boolean => {
      if (pins.includes(seen) || (companion !== null && pins.includes(companion))) return true;
      if (pins.length > 0) return refuseMismatch(seen, pins, address);
      if (this.#trustFirstUse || isLoopback(address.host)) return true;
      return refuseUnknown(seen, address);
    };
    return verifyTrackerChain(chain, isPinned, nowMs);
  }

  /**
   * The tracker proved itself in full: the keys that it showed are the cluster's from now on, and remembered. One that it no longer
   * shows has been retired.
   */
  accept(clusterKeys: readonly KeyObject[]): void {
    const known = new Set(this.#keys.map(fingerprintOf));
    if (clusterKeys.length === known.size && clusterKeys.every((key) => known.has(fingerprintOf(key)))) return;
    this.#keys = clusterKeys;
    this.#settings.set(
      'cluster_keys',
      this.#keys.map((key) => ({
        fingerprint: fingerprintOf(key),
        pem: key.export({ type: 'spki', format: 'pem' }) as string,
      })),
    );
  }

  #load(): readonly KeyObject[] {
    const known = (this.#settings.get('cluster_keys') ?? []).map(({ pem }) => createPublicKey(pem));
    return this.#named.length === 0 ? known : known.filter((key) => this.#named.includes(fingerprintOf(key)));
  }
}

function refuseUnknown(seen: string, address: Address): never {
  throw new MtError(
    'UNTRUSTED_CLUSTER',
    `The tracker at ${formatAddress(address)} belongs to a cluster that is not trusted here yet; its key is ${seen}`,
    `Compare it with the cluster's own, then add the line "key ${seen}" to the tracker info file, or start mt-peerd with --trust-first-use.`,
  );
}

function refuseMismatch(seen: string, pins: readonly string[], address: Address): never {
  throw new MtError(
    'UNTRUSTED_CLUSTER',
    `The tracker at ${formatAddress(address)} shows the cluster key ${seen}, but this daemon trusts ${pins.join(' and ')}: ` +
      'it is another cluster, or someone in between',
    'If the cluster was founded anew, name its key in the tracker info file or start mt-peerd with a new --data-dir.',
  );
}
