// The opt-in window for monitoring: /metrics for Prometheus, /healthz (it lives) and /readyz (it can serve) on a loopback port. Shows
// numbers only: no name of a user, group or file. Asked by nobody, it costs nothing.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { MtError } from '../errors.ts';

const HOST = '127.0.0.1';
const PORT_MAX = 65_535;
/** A scraper or two, and a person. */
const CONNECTIONS_MAX = 16;
const REQUEST_MS_MAX = 5_000;

export interface MonitorOptions {
  /** 0: any free one. */
  readonly port: number;
  readonly registry: Registry;
  /** Null when it can serve, else why not. */
  readonly whyNotReady: () => string | null;
}

export interface Monitor {
  readonly port: number;
  close(): Promise<void>;
}

/** @throws MtError ADDRESS_IN_USE, PERMISSION */
export async function startMonitor(options: MonitorOptions): Promise<Monitor> {
  // Named as an import, the module brings its WebSocket and all of undici along (4 MB): only who is to be asked loads it.
  const { createServer } = await import('node:http');
  const server = createServer(
    { requestTimeout: REQUEST_MS_MAX, headersTimeout: REQUEST_MS_MAX },
    (request, response) => {
      void answer(options, request, response);
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  await listen(server, options.port);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** @throws MtError INVALID_ARGUMENT */
export function parsePort(name: string, text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= PORT_MAX) return Number(text);
  throw new MtError('INVALID_ARGUMENT', `${name} takes a port from 0 to ${PORT_MAX}`, '0 takes any free one.');
}

async function answer({ registry, whyNotReady }: MonitorOptions, request: IncomingMessage, response: ServerResponse) {
  const say = (status: number, text: string, type = 'text/plain; charset=utf-8') => {
    response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
    response.end(request.method === 'HEAD' ? undefined : text);
  };
  // A web page that had its own name point here would send that name: only who means this machine is answered.
  if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(request.headers.host ?? '')) return say(403, 'loopback only\n');
  if (request.method !== 'GET' && request.method !== 'HEAD') return say(405, 'GET only\n');
  const path = request.url?.split('?')[0];
  if (path === '/healthz') return say(200, 'ok\n');
  if (path === '/readyz') {
    const why = whyNotReady();
    return why === null ? say(200, 'ready\n') : say(503, `${why}\n`);
  }
  if (path === '/metrics') return say(200, await registry.metrics(), registry.contentType);
  return say(404, 'There is /metrics, /healthz and /readyz.\n');
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === 'EADDRINUSE';
      const message = `The monitoring port ${HOST}:${port} ${isTaken ? 'is taken' : `cannot be used (${error.code})`}`;
      const code = isTaken ? 'ADDRESS_IN_USE' : 'PERMISSION';
      reject(new MtError(code, message, 'Choose another --metrics-port.', { cause: error }));
    });
    server.listen(port, HOST, resolve);
  });
}
