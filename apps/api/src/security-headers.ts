import type { FastifyInstance } from 'fastify';

/**
 * No Strict-Transport-Security: it binds every port of a host, and CRLs and OCSP are served over plain HTTP by design
 * (RFC 5280 section 8).
 */
const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const;

/** On every answer, errors included. The request id is ours: one that a caller sends is ignored. */
export function addSecurityHeaders(instance: FastifyInstance): void {
  instance.addHook('onRequest', (request, reply, done) => {
    void reply.headers(HEADERS).header('x-request-id', request.id);
    done();
  });
}
