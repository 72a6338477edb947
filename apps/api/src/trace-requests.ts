import type { FastifyInstance } from 'fastify';
import { openSpan, type OpenSpan } from '#kernel';

declare module 'fastify' {
  interface FastifyRequest {
    /** Of the request, where it is traced. */
    span: OpenSpan | undefined;
  }
}

/**
 * One trace per request, named by the route's pattern; none for what is asked all the time (`hot`). A `traceparent` from
 * outside is not followed: who may ask us is not who may choose what we record. Must run before the access check.
 */
export function traceRequests(instance: FastifyInstance): void {
  instance.decorateRequest('span', undefined);
  instance.addHook('onRequest', (request, _reply, done) => {
    const { config, url = 'unmatched' } = request.routeOptions;
    if (config.hot === true) return done();
    const { method, id } = request;
    const facts = { 'http.request.method': method, 'http.route': url };
    request.span = openSpan(`${method} ${url}`, { ...facts, 'touchmark.plane': 'api', 'touchmark.request': id });
    return request.span === undefined ? done() : request.span.within(done);
  });
  instance.addHook('onResponse', (request, reply, done) => {
    const { statusCode } = reply;
    const failure = statusCode >= 500 ? String(statusCode) : undefined;
    request.span?.end({ 'http.response.status_code': statusCode }, failure);
    done();
  });
}
