// Checksum and hash chain of a log row. Pure; both cover the same bytes:
//
//   0        8       16     17                18              50
//   ┌────────┬───────┬──────┬─────────────────┬───────────────┬──────┐
//   │ index  │ term  │ kind │ 1 if a manifest │ its SHA-256,  │ data │
//   │ u64 BE │u64 BE │ u8   │                 │ or 32 zeros   │      │
//   └────────┴───────┴──────┴─────────────────┴───────────────┴──────┘
import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { EntryKind } from '../raft/types.ts';

export const CHAIN_SIZE = 32;
/** The chain before the first entry. */
export const CHAIN_START: Uint8Array = new Uint8Array(CHAIN_SIZE);
export const KIND_CODE: Readonly<Record<EntryKind, number>> = { noop: 0, command: 1, config: 2 };
export const KIND_NAME: readonly EntryKind[] = ['noop', 'command', 'config'];

const HEADER_SIZE = 50;

export interface RowContent {
  readonly index: number;
  readonly term: number;
  /** As in KIND_CODE. */
  readonly kind: number;
  readonly manifestHash: Uint8Array | null;
  readonly data: Uint8Array;
}

/** Grown as needed, filled by each call: hashing one row allocates nothing but its result. */
let scratch = Buffer.alloc(64 * 1024);

/** Lays out `CHAIN_SIZE` bytes of `previous`, then the row, in the scratch buffer; returns the end. */
function layOut(row: RowContent, previous: Uint8Array): number {
  const end = CHAIN_SIZE + HEADER_SIZE + row.data.length;
  if (scratch.length < end) scratch = Buffer.alloc(end * 2);
  scratch.set(previous, 0);
  writeU64(CHAIN_SIZE, row.index);
  writeU64(CHAIN_SIZE + 8, row.term);
  scratch[CHAIN_SIZE + 16] = row.kind;
  scratch[CHAIN_SIZE + 17] = row.manifestHash ? 1 : 0;
  if (row.manifestHash) scratch.set(row.manifestHash, CHAIN_SIZE + 18);
  else scratch.fill(0, CHAIN_SIZE + 18, CHAIN_SIZE + HEADER_SIZE);
  scratch.set(row.data, CHAIN_SIZE + HEADER_SIZE);
  return end;
}

function writeU64(at: number, value: number): void {
  scratch.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at);
  scratch.writeUInt32BE(value >>> 0, at + 4);
}

/** Both sums of a row, given the chain hash of the row before it. */
export function sumRow(row: RowContent, previousChain: Uint8Array): { checksum: number; chain: Uint8Array } {
  const end = layOut(row, previousChain);
  return { checksum: crc32(scratch.subarray(CHAIN_SIZE, end)), chain: digest(end) };
}

/** The chain hash alone, of a row whose checksum is known to be right. */
export function chainRow(row: RowContent, previousChain: Uint8Array): Uint8Array {
  return digest(layOut(row, previousChain));
}

/** By way of a string: a digest as a buffer is a piece of memory of its own, which takes three times as long to make and free. */
function digest(end: number): Uint8Array {
  return Buffer.from(hash('sha256', scratch.subarray(0, end), 'binary'), 'binary');
}

export function checksumRow(row: RowContent): number {
  const end = layOut(row, CHAIN_START);
  return crc32(scratch.subarray(CHAIN_SIZE, end));
}
