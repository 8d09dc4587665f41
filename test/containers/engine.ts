// Decides whether container tests can run here: with an engine that answers, root's rights over its network, and an image of
// these sources. A test file that cannot run says why; MT_REQUIRE_ENGINE=1 makes that a failure (test/gate.ts).
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { getContainerRuntimeClient, ImageName } from 'testcontainers';

// The helper that testcontainers would start comes from a registry; engine.sh clean does its work.
process.env.TESTCONTAINERS_RYUK_DISABLED ??= 'true';
process.env.TESTCONTAINERS_HOST_OVERRIDE ??= '127.0.0.1';

export const IMAGE = process.env.MT_IMAGE ?? 'localhost/mini-torrent:test';
const HOW = 'Run: npm run test:containers';

/** Null when they can run. */
export async function whyNoContainers(): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'partitions are made by root with nsenter and iptables';
  try {
    const client = await getContainerRuntimeClient();
    if (!(await client.image.exists(ImageName.fromString(IMAGE)))) return `there is no image ${IMAGE}. ${HOW}`;
    if (process.env.MT_IMAGE) return null; // whoever names an image means it
    const { Config } = await client.container.dockerode.getImage(IMAGE).inspect();
    const key = execFileSync('bash', [join(import.meta.dirname, 'build-image.sh'), '--key'], { encoding: 'utf8' });
    if (Config.Labels?.['source.key'] !== key.trim()) return `the image ${IMAGE} is of other sources. ${HOW}`;
    return null;
  } catch (error) {
    return `no container engine answers (${(error as Error).message}). ${HOW}`;
  }
}

/** A machine with Node and npm and little else: as Debian's image of it, or made from this machine (base-image.sh). */
export function baseImage(): string {
  const official = 'node:24-bookworm-slim';
  const local = 'localhost/mini-torrent-base:local';
  const has = (image: string) => spawnSync('docker', ['image', 'inspect', image]).status === 0;
  return has(official) ? official : local;
}

export async function dockerode() {
  return (await getContainerRuntimeClient()).container.dockerode;
}
