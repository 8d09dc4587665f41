// A wire that a test can cut: takes connections at one address and passes them on to another one.
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Address } from '../../codec/ids.ts';

export class Relay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  private constructor(to: Address) {
    this.#server = createServer((near) => {
      if (this.#isCut) return void near.destroy();
      const far = connect(to.port, to.host);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(one);
        one.on('error', () => {});
        one.on('close', () => {
          this.#sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    });
  }

  static async open(at: Address, to: Address): Promise<Relay> {
    const relay = new Relay(to);
    await new Promise<void>((resolve, reject) =>
      relay.#server.once('error', reject).listen(at.port, at.host, () => resolve()),
    );
    relay.#server.unref(); // a test that failed forgets to close it
    return relay;
  }

  /** Ends what is connected, and turns away whoever comes. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}
