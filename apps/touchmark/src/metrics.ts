import { createServer } from 'node:http';
import type { Registry } from 'prom-client';
import { portProblem } from './ports.js';
import type { RunningPlane } from './plane.js';

/** Prometheus on a port of its own (TOUCHMARK_METRICS_PORT), plain HTTP: keep it off public networks. */
export async function startMetrics(registry: Registry, host: string, port: number): Promise<RunningPlane> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('only GET /metrics\n');
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      () => response.writeHead(500).end(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(portProblem(error, host, port, 'metrics')));
    server.listen(port, host, resolve);
  });
  return { stop: () => new Promise((resolve) => server.close(() => resolve())) };
}
