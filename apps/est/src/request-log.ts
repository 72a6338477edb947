import type { FastifyInstance } from 'fastify';
import { Histogram, type Registry } from 'prom-client';
import type { Logger } from 'pino';

const METRIC = 'touchmark_http_request_seconds';

/**
 * One line per enrollment and per refusal, the rest at debug: operation (never the URL), status, milliseconds, request id.
 * And a histogram of the same.
 */
export function recordRequests(instance: FastifyInstance, log: Logger, registry: Registry): void {
  const seconds = requestHistogram(registry);
  instance.addHook('onResponse', (request, reply, done) => {
    const route = request.estOperation ?? request.routeOptions.url ?? 'unmatched';
    const ms = reply.elapsedTime;
    seconds.observe({ plane: 'est', method: request.method, route, status: reply.statusCode }, ms / 1000);
    const level = request.method === 'POST' || reply.statusCode >= 400 ? 'info' : 'debug';
    if (log.isLevelEnabled(level)) {
      const line = {
        method: request.method,
        route,
        status: reply.statusCode,
        ms: Math.round(ms * 10) / 10,
      };
      log[level]({ ...line, requestId: request.id }, 'request');
    }
    done();
  });
}

/** Several planes may share one process and one registry. */
function requestHistogram(registry: Registry): Histogram {
  const known = registry.getSingleMetric(METRIC);
  if (known instanceof Histogram) return known;
  return new Histogram({
    name: METRIC,
    help: 'Duration of HTTP requests by plane, method, route pattern and status',
    labelNames: ['plane', 'method', 'route', 'status'],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    registers: [registry],
  });
}
