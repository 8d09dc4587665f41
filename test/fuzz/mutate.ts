// Mutations of bytes, after AFL's: flips, small numbers, cuts, copies, splices, and pieces of CBOR and frames that hurt.
import type { Random } from './sample.ts';

const NASTY = [
  [0x9a, 0x3b, 0x9a, 0xca, 0x00], // a list of 10^9
  [0xba, 0xff, 0xff, 0xff, 0xff], // a map of 2^32
  [0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], // a string of 2^64
  [0x1b, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00], // 2^53
  [0x9f, 0xff], // an indefinite list
  [0x5f, 0x41, 0x00, 0xff], // an indefinite string
  [0xc2, 0x41, 0x01], // a tag: bignum
  [0xd9, 0xd9, 0xf7], // a tag: self-described CBOR
  [0xd8, 0x40, 0x41, 0x00], // a typed array
  [0xf9, 0x7e, 0x00], // NaN
  [0xfb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0], // Infinity
  [0xa2, 0x61, 0x61, 0x01, 0x61, 0x61, 0x02], // the same key twice
  [0xa1, 0x69, 0x5f, 0x5f, 0x70, 0x72, 0x6f, 0x74, 0x6f, 0x5f, 0x5f, 0xa0], // __proto__
  [0x4d, 0x54, 0x01, 0x05, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0xff, 0xff, 0xff, 0xff], // a hello frame of 4 GiB
  [0x62, 0xc3, 0x28], // broken UTF-8
  [0x66, 0x2e, 0x2e, 0x2f, 0x2e, 0x2e, 0x2f], // ../../
] as const;
const NESTED = [0x81, 0xa1, 0x9f] as const;
const DEPTH_MAX = 2_000;
const SIZE_MAX = 70_000;

export function mutate(seed: Uint8Array, random: Random, other: Uint8Array): Uint8Array {
  let bytes = Uint8Array.from(seed);
  for (let rounds = 1 + random(4); rounds > 0; rounds--) bytes = once(bytes, random, other);
  return bytes.length > SIZE_MAX ? bytes.subarray(0, SIZE_MAX) : bytes;
}

function once(bytes: Uint8Array<ArrayBuffer>, random: Random, other: Uint8Array): Uint8Array<ArrayBuffer> {
  const at = random(bytes.length + 1);
  switch (random(10)) {
    case 0:
      if (at < bytes.length) bytes[at]! ^= 1 << random(8);
      return bytes;
    case 1:
      if (at < bytes.length) bytes[at] = random(256);
      return bytes;
    case 2:
      if (at < bytes.length) bytes[at]! += random(2) === 0 ? 1 : -1;
      return bytes;
    case 3:
      return bytes.slice(0, at);
    case 4:
      return join(bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + random(8))));
    case 5:
      return join(bytes.subarray(0, at), bytes.subarray(at, at + random(32)), bytes.subarray(at));
    case 6:
      return join(bytes.subarray(0, at), other.subarray(random(other.length + 1)));
    case 7:
      return join(bytes.subarray(0, at), Uint8Array.from(NASTY[random(NASTY.length)]!), bytes.subarray(at));
    case 8:
      return join(
        bytes.subarray(0, at),
        Uint8Array.from(NASTY[random(NASTY.length)]!),
        bytes.subarray(Math.min(bytes.length, at + 4)),
      );
    default:
      if (random(20) > 0) return join(bytes.subarray(0, at), Uint8Array.of(random(256)), bytes.subarray(at));
      return join(
        bytes.subarray(0, at),
        new Uint8Array(random(DEPTH_MAX)).fill(NESTED[random(NESTED.length)]!),
        bytes.subarray(at),
      );
  }
}

function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
