// Parses the tracker info file: where the cluster starts, and which key it must have.
// Takes IP and port on two lines, `ip port`, `ip:port`, `[v6]:port`, host names; blank lines and # comments are passed over.
import { isIPv4, isIPv6 } from 'node:net';
import * as v from 'valibot';
import { MtError } from './errors.ts';
import { type Address, addressSchema, fingerprintSchema, formatAddress } from './ids.ts';

export interface TrackerInfo {
  /** Tracker N is `addresses[N - 1]`. */
  addresses: Address[];
  /** Fingerprints of the cluster key from `key` lines: none, one, or two during a rotation. */
  keyFingerprints: string[];
}

const LINES_MAX = 10_000;
const FILE_HELP = 'Each tracker is "ip:port" on a line of its own, or the IP and the port on two lines.';

/** @throws MtError INVALID_TRACKER_INFO naming the line. */
export function parseTrackerInfo(text: string, name = 'tracker info file'): TrackerInfo {
  const addresses: Address[] = [];
  const keyFingerprints: string[] = [];
  const lines = text.split(/\r?\n/);
  const fail = (lineIndex: number, why: string): never => {
    throw new MtError('INVALID_TRACKER_INFO', `${name}, line ${lineIndex + 1}: ${why}`, FILE_HELP);
  };
  if (lines.length > LINES_MAX) fail(LINES_MAX, 'the file is too long');
  let host: { text: string; lineIndex: number } | null = null;

  for (const [lineIndex, raw] of lines.entries()) {
    const line = raw.replace(/(^|\s)#.*$/, '').trim();
    if (line === '') continue;
    if (host) {
      addresses.push(toAddress(host.text, line) ?? fail(lineIndex, `expected the port of ${host.text}`));
      host = null;
      continue;
    }
    const key = /^key\s+(\S+)$/i.exec(line);
    if (key) {
      const fingerprint = key[1]!.replaceAll(':', '').toLowerCase();
      if (!v.is(fingerprintSchema, fingerprint)) fail(lineIndex, 'a key fingerprint has 64 hexadecimal digits');
      keyFingerprints.push(fingerprint);
      continue;
    }
    const address = parseAddress(line);
    if (address) addresses.push(address);
    else if (toAddress(line, '1')) host = { text: line, lineIndex };
    else fail(lineIndex, 'expected the address of a tracker');
  }
  if (host) fail(host.lineIndex, `${host.text} has no port`);
  if (addresses.length === 0) throw new MtError('INVALID_TRACKER_INFO', `${name} names no tracker`, FILE_HELP);
  if (keyFingerprints.length > 2) {
    throw new MtError('INVALID_TRACKER_INFO', `${name} has more than two keys`, 'Keep the old and the new one.');
  }
  const seen = new Set<string>();
  for (const address of addresses) {
    const shown = formatAddress(address);
    if (seen.has(shown)) throw new MtError('INVALID_TRACKER_INFO', `${name} names ${shown} twice`, FILE_HELP);
    seen.add(shown);
  }
  return { addresses, keyFingerprints };
}

/** `ip port`, `ip:port`, `[v6]:port`, with a host name for the IP if you like; null when it is none of these. */
export function parseAddress(text: string): Address | null {
  const bracketed = /^\[([^\]]+)\]:(\d+)$/.exec(text);
  if (bracketed) return toAddress(bracketed[1]!, bracketed[2]!);
  const spaced = /^(\S+)\s+(\d+)$/.exec(text);
  if (spaced) return toAddress(spaced[1]!.replace(/^\[(.*)\]$/, '$1'), spaced[2]!);
  const colon = /^([^:\s]+):(\d+)$/.exec(text);
  return colon ? toAddress(colon[1]!, colon[2]!) : null;
}

function toAddress(host: string, port: string): Address | null {
  if (!/^\d{1,5}$/.test(port)) return null;
  const address = { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
  return v.is(addressSchema, address) && isHost(address.host) ? address : null;
}

/** What looks like an IP address is one; the last label of a host name is never all digits (RFC 1123 §2.1). */
function isHost(host: string): boolean {
  if (host.includes(':')) return isIPv6(host);
  return isIPv4(host) || !/(^|\.)\d+$/.test(host);
}

/** Loopback: where a missing cluster key may be made and a fingerprint be trusted on first use. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
