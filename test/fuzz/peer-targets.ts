// What one daemon reads from another: every control frame, and the stream of frames and blocks of a dialler.
import { randomBytes } from 'node:crypto';
import { encodeCbor } from '../../codec/cbor.ts';
import { encodeFrame } from '../../codec/frames.ts';
import {
  decodePeerFrame,
  decodePeerHello,
  encodePeerFrame,
  encodePeerHello,
  isPeerFrameType,
  type PeerFrameType,
  peerPayloadMax,
  welcomeSchema,
} from '../../codec/peer-messages.ts';
import { FrameReader } from '../../daemon/peer/frame-reader.ts';
import type { Random } from './sample.ts';
import { isDeclared, type Target } from './target.ts';

const PEER_TYPES = 'refused ticket ping pong bitfield have getting want offer accept decline got cancel withdraw alive';
const peerFrames: Target[] = PEER_TYPES.split(' ').map((type) => ({
  name: `peer ${type}`,
  seed: (random: Random) => {
    const piece = random(9_000);
    const samples: Record<string, unknown> = {
      refused: { code: 'FORBIDDEN', message: 'no' },
      ticket: [new Uint8Array(random(100))],
      bitfield: [new Uint8Array(random(1_025))],
      offer: [piece, true],
      accept: [
        piece,
        piece,
        [
          [0, 1],
          [random(9), 2],
        ],
        false,
      ],
      alive: [],
      have: Array.from({ length: 1 + random(100) }, () => random(8_192)),
    };
    return Uint8Array.from(encodeCbor(samples[type] ?? [piece]));
  },
  run: (bytes: Uint8Array) => void decodePeerFrame(type as PeerFrameType, bytes),
  allows: isDeclared,
}));

/** What a dialler reads: control frames and blocks, into memory that it named. */
const frameReader: Target = {
  name: 'peer stream',
  seed: (random) => {
    const block = encodeFrame(
      'block',
      Buffer.concat([Buffer.from([0, 0, 0, random(4), 0, 0, 0, 0]), randomBytes(random(300))]),
    );
    const parts = [
      encodePeerHello({ versions: { min: 1, max: 1 } }),
      encodePeerFrame('offer', [1, false]),
      block,
      encodePeerFrame('alive', []),
    ];
    return Buffer.concat(Array.from({ length: 1 + random(5) }, () => parts[random(parts.length)]!));
  },
  run: (bytes, random) => {
    const sink = Buffer.alloc(256 * 1024);
    let seen = false;
    const reader = new FrameReader({
      payloadMax: (type) => peerPayloadMax(type, 'acceptor', seen),
      onFrame: (type, payload) => {
        if (type === 'hello') {
          decodePeerHello(payload, welcomeSchema);
          seen = true;
        } else if (isPeerFrameType(type)) decodePeerFrame(type, payload);
      },
      onBlock: ({ size }) => (random(2) === 0 ? sink.subarray(0, size) : null),
      onBlockEnd: () => {},
    });
    for (let at = 0; at < bytes.length; ) {
      const room = reader.buffer();
      const count = Math.min(1 + random(room.length), room.length, bytes.length - at);
      room.set(bytes.subarray(at, at + count));
      at += count;
      reader.taken(count);
    }
  },
  allows: isDeclared,
};

export const PEER_TARGETS: readonly Target[] = [...peerFrames, frameReader];
