import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isAuthorityError } from '#kernel';
import { OCSP_ERRORS } from './ocsp-errors.js';
import type { OcspResponder } from './ocsp-responder.js';
import { textReply, write, type Reply } from './reply.js';
import { serve } from './routes.js';

export const REQUEST_TYPE = 'application/ocsp-request';
/** Larger requests name more than the 32 certificates that one answer covers. */
export const MAX_REQUEST_BYTES = 16 * 1024;
const MAX_URL_LENGTH = 8 * 1024;
const PREFIX = '/ocsp/';
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

const NO_REQUEST = textReply('an OCSP request by GET is /ocsp/{base64 of the DER request} (RFC 6960 appendix A.1)');
const URL_TOO_LONG = textReply('the URL is too long; send the OCSP request by POST');

/** POST and GET of RFC 6960 appendix A, on plain HTTP. */
export function registerOcsp(fastify: FastifyInstance, ocsp: OcspResponder): void {
  fastify.addContentTypeParser(
    REQUEST_TYPE,
    { parseAs: 'buffer', bodyLimit: MAX_REQUEST_BYTES },
    (_request, body, done) => done(null, body),
  );
  const post = (request: FastifyRequest, reply: FastifyReply): void => {
    reply.hijack();
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    settle(request.raw, reply.raw, ocsp.answer(body));
  };
  const get = (request: FastifyRequest, reply: FastifyReply): void => {
    reply.hijack();
    // The raw path: the router has decoded its own copy already, and must not decode this one (O03).
    const url = request.raw.url ?? '';
    if (url.length > MAX_URL_LENGTH) return write(request.raw, reply.raw, 414, URL_TOO_LONG);
    if (url.length <= PREFIX.length) return write(request.raw, reply.raw, 400, NO_REQUEST);
    const der = decodePath(url.slice(PREFIX.length));
    settle(request.raw, reply.raw, der === undefined ? OCSP_ERRORS.malformedRequest : ocsp.answer(der));
  };
  serve(fastify, '/ocsp', { GET: get, POST: post });
  serve(fastify, '/ocsp/*', { GET: get, POST: post });
}

/** Decodes once: `%2F`, `%2B`, `%3D`, bare `/`, `//`, `+` and missing `=` all stand for themselves. undefined: no base64. */
export function decodePath(path: string): Buffer | undefined {
  let text = path;
  if (path.includes('%')) {
    try {
      text = decodeURIComponent(path);
    } catch {
      return undefined;
    }
  }
  return BASE64.test(text) ? Buffer.from(text, 'base64') : undefined;
}

/** Writes the answer as soon as it is there. */
export function settle(request: IncomingMessage, response: ServerResponse, answer: Reply | Promise<Reply>): void {
  if (!(answer instanceof Promise)) return write(request, response, 200, answer);
  answer.then(
    (ready) => write(request, response, 200, ready),
    (error: unknown) => {
      const { tryLater, internalError } = OCSP_ERRORS;
      write(request, response, 200, isAuthorityError(error, 'unavailable') ? tryLater : internalError);
    },
  );
}
