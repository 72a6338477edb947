import { createServer, type ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';
import { portProblem } from './ports.js';
import type { RunningPlane } from './plane.js';

/** What the port tells: figures, and whether the planes of this process can do their work. */
export interface Told {
  registry: Registry;
  /** Why not, each reason with its plane; empty when all can. */
  readiness: () => Promise<string[]>;
  /** What they cannot do while they do the rest, likewise. */
  degraded: () => string[];
}

/**
 * GET /metrics (Prometheus), /healthz and /readyz on a port of its own (TOUCHMARK_METRICS_PORT), plain HTTP: keep it off
 * public networks. It is the only port of a worker.
 */
export async function startMetrics(told: Told, host: string, port: number): Promise<RunningPlane> {
  const server = createServer({ headersTimeout: 5000, requestTimeout: 5000 }, (request, response) => {
    const path = request.method === 'GET' ? request.url : undefined;
    answer(told, path, response).catch(() => response.writeHead(500).end());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(portProblem(error, host, port, 'metrics')));
    server.listen(port, host, resolve);
  });
  return {
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer({ registry, readiness, degraded }: Told, path: string | undefined, response: ServerResponse) {
  if (path === '/metrics') {
    const text = await registry.metrics();
    response.writeHead(200, { 'content-type': registry.contentType }).end(text);
  } else if (path === '/healthz') {
    json(response, 200, { status: 'ok' });
  } else if (path === '/readyz') {
    const reasons = await readiness();
    if (reasons.length > 0) return json(response, 503, { status: 'notReady', reasons });
    const lacks = degraded();
    json(response, 200, { status: lacks.length === 0 ? 'ready' : 'degraded', reasons: lacks });
  } else {
    response.writeHead(404, { 'content-type': 'text/plain' }).end('only GET /metrics, /healthz, /readyz\n');
  }
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}
