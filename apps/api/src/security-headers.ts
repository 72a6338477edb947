import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

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
    setSecurityHeaders(request, reply);
    done();
  });
}

/** For answers that are given before any hook runs. */
export function setSecurityHeaders(request: FastifyRequest, reply: FastifyReply): void {
  void reply.headers(HEADERS).header('x-request-id', request.id);
}
