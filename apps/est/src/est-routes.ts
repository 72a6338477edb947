import type { TLSSocket } from 'node:tls';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { enrollOverEst, type AuthorityContext } from '#authority';
import {
  certsOnlyResponse,
  checkContentEncoding,
  checkContentType,
  decodeBody,
  EST_OPERATIONS,
  lineForm,
  MAX_BODY_BYTES,
  parseEstPath,
  readBasic,
  type EstOperation,
  type EstResponse,
} from '#est';
import { AuthorityError } from '#kernel';
import { readCsr } from '#pki';
import { checkChannelBinding } from './channel-binding.js';
import { notServed } from './framework-error.js';
import { peerCertificate } from './peer-certificate.js';

type Served = 'cacerts' | 'simpleenroll' | 'simplereenroll';

declare module 'fastify' {
  interface FastifyRequest {
    /** What the raw path asks for, once it is known to be an operation. */
    estOperation: EstOperation | null;
    /** From here on the use case audits refusals itself. */
    refusalAudited: boolean;
  }
}

export interface EstRouteDependencies {
  authority: AuthorityContext;
  /** DER of the root and of every CA between it and a device certificate. */
  cacerts: () => Promise<Buffer[]>;
}

/** The default profile answers to its name too (E05). */
const DEFAULT_LABEL = 'device';

/**
 * The three operations that cannot be switched off (E08), at every form of path. The path is read raw and decided upon
 * before the body is, so that a wrong method or type costs nothing.
 */
export function registerEstRoutes(root: FastifyInstance, deps: EstRouteDependencies): void {
  root.decorateRequest('estOperation', null);
  root.decorateRequest('refusalAudited', false);
  // Not awaited: that would start Fastify before Nest has given it its error handler.
  void root.register((instance, _options, done) => {
    instance.removeAllContentTypeParsers();
    instance.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: MAX_BODY_BYTES }, (_request, body, parsed) => {
      parsed(null, body);
    });
    instance.addHook('onRequest', (request, reply, next) => {
      checkRequest(request, reply);
      next();
    });
    const handler = (request: FastifyRequest, reply: FastifyReply) => answer(deps, request, reply);
    for (const url of ['/.well-known/est/*', '/:label/.well-known/est/*']) {
      instance.route({ method: instance.supportedMethods as 'GET'[], url, exposeHeadRoute: false, handler });
    }
    done();
  });
}

/** Everything that the head of the request decides: 404, 405 with `Allow`, 415. */
function checkRequest(request: FastifyRequest, reply: FastifyReply): void {
  const target = parseEstPath(request.raw.url ?? '');
  if (target === undefined) throw notServed();
  const { operation, label } = target;
  request.estOperation = operation;
  if (label !== undefined && label !== DEFAULT_LABEL) {
    throw new AuthorityError('notFound', 'No CA is configured under this label');
  }
  const { implemented, method, requestType } = EST_OPERATIONS[operation];
  if (!implemented) throw new AuthorityError('notFound', `The operation ${operation} is not offered here`);
  const allowed = method === 'GET' ? ['GET', 'HEAD'] : [method];
  if (!allowed.includes(request.method)) {
    void reply.header('allow', allowed.join(', '));
    throw new AuthorityError('methodNotAllowed', `${operation} allows ${allowed.join(', ')}`);
  }
  if (requestType === undefined) return;
  checkContentType(request.headers['content-type'], requestType);
  checkContentEncoding(request.headers['content-encoding']);
}

async function answer(deps: EstRouteDependencies, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const operation = request.estOperation as Served;
  const form = lineForm(request.headers['user-agent']);
  if (operation === 'cacerts') {
    const bag = certsOnlyResponse(await deps.cacerts(), form, { cacheable: true });
    return isCurrent(request, bag) ? notModified(reply, bag) : sendEst(reply, bag);
  }
  const der = await enroll(deps.authority, operation, request);
  return sendEst(reply, certsOnlyResponse([der], form, { cacheable: false }));
}

/** Body, request, link to the connection, then everything that needs to know who asks. */
async function enroll(
  authority: AuthorityContext,
  operation: 'simpleenroll' | 'simplereenroll',
  request: FastifyRequest,
): Promise<Buffer> {
  const socket = request.raw.socket as TLSSocket;
  const csr = readCsr(decodeBody(Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)));
  checkChannelBinding(socket, csr.challengePassword);
  const basic = readBasic(request.headers.authorization);
  request.refusalAudited = true;
  return enrollOverEst(authority, {
    operation,
    // Both names of the default profile are one, so that a retry by the other is a retry.
    label: undefined,
    csr,
    basic,
    // Reading it costs as much as checking a signature; a first enrollment rests on its secret.
    peerCertificate: operation === 'simplereenroll' ? peerCertificate(socket) : undefined,
    address: request.ip,
    requestId: request.id,
  });
}

export function sendEst(reply: FastifyReply, response: EstResponse): FastifyReply {
  // Node sends text and its head in one write and one TLS record, a Buffer in two. Base64 is ASCII; errors keep their Buffer,
  // because Fastify adds a charset to JSON that is given as text.
  const body = response.status === 200 ? response.body.toString('latin1') : response.body;
  return reply.code(response.status).headers(response.headers).send(body);
}

/** RFC 9110 section 13.1.2. */
function isCurrent(request: FastifyRequest, response: EstResponse): boolean {
  const etag = response.headers['ETag'];
  const wanted = request.headers['if-none-match'];
  if (etag === undefined || wanted === undefined) return false;
  return wanted.split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag);
}

function notModified(reply: FastifyReply, response: EstResponse): FastifyReply {
  for (const name of ['ETag', 'Cache-Control', 'Vary']) {
    const value = response.headers[name];
    if (value !== undefined) void reply.header(name, value);
  }
  return reply.code(304).send();
}
