import type { FastifyInstance } from 'fastify';
import { openSpan, type OpenSpan } from '#kernel';

declare module 'fastify' {
  interface FastifyRequest {
    /** Of the request, where it is traced. */
    span: OpenSpan | undefined;
  }
}

/**
 * One trace per request that changes something, named by the route's pattern. A `traceparent` from outside is not
 * followed: who may ask us is not who may choose what we record.
 */
export function traceRequests(instance: FastifyInstance): void {
  instance.decorateRequest('span', undefined);
  instance.addHook('onRequest', (request, _reply, done) => {
    if (request.method !== 'POST') return done();
    const { method, id } = request;
    const url = request.routeOptions.url ?? 'unmatched';
    const facts = { 'http.request.method': method, 'http.route': url };
    request.span = openSpan(`${method} ${url}`, { ...facts, 'touchmark.plane': 'est', 'touchmark.request': id });
    return request.span === undefined ? done() : request.span.within(done);
  });
  instance.addHook('onResponse', (request, reply, done) => {
    const facts = {
      'http.response.status_code': reply.statusCode,
      ...(request.estOperation && { 'touchmark.operation': request.estOperation }),
    };
    request.span?.end(facts, reply.statusCode >= 500 ? String(reply.statusCode) : undefined);
    done();
  });
}
