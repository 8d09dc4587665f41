// Makes groups one after the other until stopped, through whichever tracker answers; remembers what was acknowledged.
import { isMtError } from '../../codec/errors.ts';
import { TestClient, type TestCluster } from './harness.ts';

export class Load {
  readonly made: string[] = [];
  /** Between two acknowledgements, in ms. */
  longestMs = 0;
  readonly #cluster: TestCluster;
  readonly #name: string;
  #stopped = false;
  #client: TestClient | null = null;
  #done: Promise<void> | null = null;

  constructor(cluster: TestCluster, name: string) {
    this.#cluster = cluster;
    this.#name = name;
  }

  async start(at = 1): Promise<this> {
    this.#client = await (await this.#cluster.client(at)).signUp(this.#name);
    this.#done = this.#loop();
    return this;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
    this.#client?.close();
  }

  async #loop(): Promise<void> {
    let client = this.#client!;
    const { identity, clientId, session } = client;
    let turn = 0;
    let lastMs = performance.now();
    for (let seq = 1_000; !this.#stopped; seq++) {
      const group_id = `${this.#name}-${seq}`;
      const request = { client_id: clientId, seq, acked: seq };
      for (;;) {
        try {
          await client.call('create_group', { request, session, group_id }, { timeoutMs: 5_000 });
          break;
        } catch (error) {
          if (!isMtError(error, 'CLOSED', 'OUTCOME_UNKNOWN', 'NO_QUORUM', 'TIMEOUT')) throw error;
          const running = this.#cluster.trackers.filter(({ process }) => process);
          const port = running[turn++ % running.length]!.port;
          client = (await TestClient.connect(port, identity).catch(() => null)) ?? client;
        }
      }
      this.#client = client;
      this.longestMs = Math.max(this.longestMs, performance.now() - lastMs);
      lastMs = performance.now();
      this.made.push(group_id);
    }
  }
}
