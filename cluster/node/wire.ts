// Between the consensus core's messages and their form on the wire (codec/raft-messages.ts), where manifests travel with entries.
import { hash } from 'node:crypto';
import type { RaftMessageWire, WireEntry } from '../../codec/raft-messages.ts';
import type { InstallSnapshot, Message } from '../raft/messages.ts';
import type { Entry, NodeId } from '../raft/types.ts';
import { attach } from '../store/attachments.ts';

type Sent = Exclude<Message, InstallSnapshot>;

/** Without the entries of an append: those are encoded apart, once for all followers. */
export function toWire(message: Sent): RaftMessageWire {
  const { term } = message;
  switch (message.type) {
    case 'request_vote': {
      const { type, pre, transfer, lastIndex: last_index, lastTerm: last_term } = message;
      return { type, term, pre, transfer, last_index, last_term };
    }
    case 'request_vote_reply':
      return { type: message.type, term, pre: message.pre, granted: message.granted };
    case 'append': {
      const { type, prevIndex: prev_index, prevTerm: prev_term, commit, boot } = message;
      return { type, term, prev_index, prev_term, commit, boot, entries: [] };
    }
    case 'append_reply': {
      const { type, boot, ok, index, hintIndex: hint_index, hintTerm: hint_term } = message;
      return { type, term, boot, ok, index, hint_index, hint_term };
    }
    case 'heartbeat':
      return { type: message.type, term, round: message.round };
    case 'heartbeat_reply': {
      const { type, boot, round, fit, commit } = message;
      return { type, term, boot, round, fit, commit };
    }
    case 'timeout_now':
      return { type: message.type, term };
    case 'read_request':
      return { type: message.type, term, boot: message.boot, id: message.id };
    case 'read_reply':
      return { type: message.type, term, boot: message.boot, id: message.id, index: message.index };
  }
}

export function toWireEntry({ term, kind, data }: Entry, manifest: Uint8Array | null): WireEntry {
  return [term, kind, data, manifest];
}

/** `from` is who the connection belongs to. */
export function fromWire(wire: RaftMessageWire, from: NodeId, to: NodeId): Message {
  const { term } = wire;
  switch (wire.type) {
    case 'request_vote': {
      const { type, pre, transfer, last_index: lastIndex, last_term: lastTerm } = wire;
      return { type, from, to, term, pre, transfer, lastIndex, lastTerm };
    }
    case 'append': {
      const { type, prev_index: prevIndex, prev_term: prevTerm, commit, boot } = wire;
      const entries = wire.entries.map((entry, at) => toEntry(entry, prevIndex + 1 + at));
      return { type, from, to, term, prevIndex, prevTerm, commit, boot, entries };
    }
    case 'append_reply': {
      const { type, boot, ok, index, hint_index: hintIndex, hint_term: hintTerm } = wire;
      return { type, from, to, term, boot, ok, index, hintIndex, hintTerm };
    }
    default:
      return { ...wire, from, to };
  }
}

function toEntry([term, kind, data, manifest]: WireEntry, index: number): Entry {
  if (manifest === null) return { index, term, kind, data, sizeBytes: data.length };
  attach(data, { hash: hash('sha256', manifest, 'buffer'), bytes: manifest });
  return { index, term, kind, data, sizeBytes: data.length + manifest.length };
}
