// As much BitTorrent as a benchmark needs: the metainfo of one file, and an HTTP tracker that names everybody to everybody.
// BEP 3 (metainfo, tracker), BEP 23 (compact peers).
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { basename } from 'node:path';
import { MIB } from './transfer-scenarios.ts';

/** What mktorrent and libtorrent choose for files of a gigabyte. */
const PIECE_SIZE = MIB;
/** Seconds between announces: peers that started at the same time soon learn of each other. */
const INTERVAL_S = 3;
const INTERVAL_S_MIN = 1;

type Bencodable = number | string | Buffer | { readonly [key: string]: Bencodable };

/** Keys must be given in ASCII order. */
export function bencode(value: Bencodable): Buffer {
  if (typeof value === 'number') return Buffer.from(`i${value}e`);
  if (typeof value === 'string') return bencode(Buffer.from(value));
  if (Buffer.isBuffer(value)) return Buffer.concat([Buffer.from(`${value.length}:`), value]);
  const entries = Object.entries(value).flatMap(([key, inner]) => [bencode(key), bencode(inner)]);
  return Buffer.concat([Buffer.from('d'), ...entries, Buffer.from('e')]);
}

/** The .torrent of a file, and what its tracker is asked about. */
export function metainfo(path: string, announce: string): Buffer {
  const pieces: Buffer[] = [];
  const piece = Buffer.alloc(PIECE_SIZE);
  const file = openSync(path, 'r');
  let length = 0;
  for (let size = readSync(file, piece); size > 0; size = readSync(file, piece)) {
    pieces.push(createHash('sha1').update(piece.subarray(0, size)).digest());
    length += size;
  }
  closeSync(file);
  const info = { length, name: basename(path), 'piece length': PIECE_SIZE, pieces: Buffer.concat(pieces) };
  return bencode({ announce, info });
}

export interface TorrentPeer {
  readonly host: string;
  readonly port: number;
}

/** Knows which address each port belongs to, because some peers announce from another address than they listen on. */
export class TorrentTracker {
  readonly #server: Server;
  readonly #hosts: ReadonlyMap<number, string>;
  /** Bytes left of those who announced, by port. */
  readonly #left = new Map<number, number>();

  constructor(peers: readonly TorrentPeer[]) {
    this.#hosts = new Map(peers.map(({ host, port }) => [port, host]));
    this.#server = createServer((request, response) => {
      response.setHeader('Connection', 'close');
      response.end(this.#announce(new URL(request.url ?? '/', 'http://tracker').search));
    });
  }

  async listen(host: string): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, host, resolve));
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the torrent tracker has no port');
    return `http://${host}:${address.port}/announce`;
  }

  isSeeding(port: number): boolean {
    return this.#left.get(port) === 0;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #announce(search: string): Buffer {
    // Not URLSearchParams: info_hash and peer_id are raw bytes, and not asked for here.
    const field = (name: string) => new RegExp(`[?&]${name}=([^&]*)`).exec(search)?.[1];
    const port = Number(field('port'));
    if (!this.#hosts.has(port)) return bencode({ 'failure reason': 'unknown port' });
    if (field('event') === 'stopped') this.#left.delete(port);
    else this.#left.set(port, Number(field('left') ?? 1));
    const others = [...this.#left.keys()].filter((other) => other !== port);
    const complete = [...this.#left.values()].filter((left) => left === 0).length;
    return bencode({
      complete,
      incomplete: this.#left.size - complete,
      interval: INTERVAL_S,
      'min interval': INTERVAL_S_MIN,
      peers: Buffer.concat(others.map((other) => this.#compact(other))),
    });
  }

  #compact(port: number): Buffer {
    const bytes = Buffer.from([...this.#hosts.get(port)!.split('.').map(Number), 0, 0]);
    bytes.writeUInt16BE(port, 4);
    return bytes;
  }
}
