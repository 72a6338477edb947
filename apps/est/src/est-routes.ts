import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { currentLabel, enrollOverEst, type AuthorityContext, type EnrollmentOutcome } from '#authority';
import {
  certsOnlyResponse,
  checkContentEncoding,
  checkContentType,
  decodeBody,
  EST_OPERATIONS,
  lineForm,
  pendingResponse,
  MAX_BODY_BYTES,
  parseEstPath,
  type EstOperation,
  type EstResponse,
} from '#est';
import { AuthorityError, isAuthorityError, type Config } from '#kernel';
import { readCertificate, readCsr, type Certificate } from '#pki';
import { DEFAULT_LABEL, OPTIONAL_OPERATIONS, type EstLabel } from '#policy';
import { arrivalOf, type Arrival, type Proxies } from './arrival.js';
import { answerCsrAttributes } from './answer-csrattrs.js';
import { answerFullCmc } from './answer-fullcmc.js';
import { answerServerKeygen } from './answer-serverkeygen.js';
import { challengeEmpty } from './challenges.js';
import { refuseCredentialInQuery } from './credential-in-query.js';
import { checkLink, requireLink } from './check-link.js';
import { notServed } from './framework-error.js';
import { arrivedBy, presentedBy } from './presented.js';
import { withWindowOf } from './renewal-window.js';
import type { ServerSigner } from './server-signer.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** What the raw path asks for, once it is known to be an operation under a label of ours. */
    estOperation: EstOperation | null;
    estLabel: EstLabel | null;
    estArrival: Arrival | null;
    /** From here on the use case audits refusals itself. */
    refusalAudited: boolean;
  }
}

export interface EstRouteDependencies {
  authority: AuthorityContext;
  /** DER of the root and of every CA between it and a device certificate. */
  cacerts: () => Promise<Buffer[]>;
  server: ServerSigner;
  config: Pick<Config, 'estProxies'>;
}

const OPTIONAL: readonly EstOperation[] = OPTIONAL_OPERATIONS;

/**
 * Every operation at every form of path; three of them cannot be switched off (E08). The path is read raw and decided upon
 * before the body is, so that a wrong method or type costs nothing.
 */
export function registerEstRoutes(root: FastifyInstance, deps: EstRouteDependencies): void {
  root.decorateRequest('estOperation', null);
  root.decorateRequest('estLabel', null);
  root.decorateRequest('estArrival', null);
  root.decorateRequest('refusalAudited', false);
  const proxies = new Set(deps.config.estProxies.fingerprints);
  // Not awaited: that would start Fastify before Nest has given it its error handler.
  void root.register((instance, _options, done) => {
    instance.removeAllContentTypeParsers();
    instance.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: MAX_BODY_BYTES }, (_request, body, parsed) => {
      parsed(null, body);
    });
    instance.addHook('onRequest', (request, reply) => checkRequest(deps.authority, proxies, request, reply));
    const handler = (request: FastifyRequest, reply: FastifyReply) => answer(deps, request, reply);
    for (const url of ['/.well-known/est/*', '/:label/.well-known/est/*']) {
      instance.route({ method: instance.supportedMethods as 'GET'[], url, exposeHeadRoute: false, handler });
    }
    done();
  });
}

/** Everything that the head of the request decides: 404, 405 with `Allow`, 415. */
async function checkRequest(
  authority: AuthorityContext,
  proxies: Proxies,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const target = parseEstPath(request.raw.url ?? '');
  request.estOperation = target?.operation ?? null;
  request.estArrival = arrivalOf(request, proxies);
  await refuseCredentialInQuery(authority, request);
  if (target === undefined) throw notServed();
  const { operation } = target;
  const label = currentLabel(authority, target.label ?? DEFAULT_LABEL);
  request.estLabel = label ?? null;
  if (!label) throw new AuthorityError('notFound', 'No CA is configured under this label');
  if (OPTIONAL.includes(operation) && !label.operations.some((one) => one === operation)) {
    throw new AuthorityError('notFound', `The operation ${operation} is not offered here`);
  }
  const { method, requestType } = EST_OPERATIONS[operation];
  const allowed = method === 'GET' ? ['GET', 'HEAD'] : [method];
  if (!allowed.includes(request.method)) {
    void reply.header('allow', allowed.join(', '));
    throw new AuthorityError('methodNotAllowed', `${operation} allows ${allowed.join(', ')}`);
  }
  if (requestType === undefined) return;
  requireOffered(label, request.estArrival);
  checkContentType(request.headers['content-type'], requestType);
  checkContentEncoding(request.headers['content-encoding']);
}

/** TX08: a label that wants TLS to end here takes nothing from a proxy, not even a secret. */
function requireOffered({ proxy }: EstLabel, { socket }: Arrival): void {
  if (proxy || socket !== undefined) return;
  throw new AuthorityError('malformed', 'this label is not offered through a proxy: connect directly', {
    code: 'directOnly',
  });
}

async function answer(deps: EstRouteDependencies, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { estOperation: operation, estLabel: label } = request;
  if (!operation || !label) throw notServed();
  challengeEmpty(operation, label, request);
  const form = lineForm(label.lineForm, request.headers['user-agent']);
  if (operation === 'cacerts') {
    const bag = certsOnlyResponse(await deps.cacerts(), form, { cacheable: true });
    return isCurrent(request, bag) ? notModified(reply, bag) : sendEst(reply, bag);
  }
  if (operation === 'csrattrs') {
    const attributes = await answerCsrAttributes(deps.authority, label, request, form);
    return isCurrent(request, attributes) ? notModified(reply, attributes) : sendEst(reply, attributes);
  }
  if (operation === 'serverkeygen') {
    return answerServerKeygen(deps.authority, deps.server, label, request, reply, form);
  }
  if (operation === 'fullcmc') {
    return answerFullCmc(deps.authority, deps.server, label, request, reply, form);
  }
  const outcome = await enroll(deps.authority, operation, label, request);
  if (outcome.state === 'pending') return sendEst(reply, pendingResponse(outcome.retryAfter));
  const issued = certsOnlyResponse([outcome.certificate], form, { cacheable: false });
  return sendEst(reply, withWindowOf(outcome.certificate, issued));
}

/** Body, request, link to the connection, then everything that needs to know who asks. */
async function enroll(
  authority: AuthorityContext,
  operation: 'simpleenroll' | 'simplereenroll',
  label: EstLabel,
  request: FastifyRequest,
): Promise<EnrollmentOutcome> {
  const arrival = arrivedBy(request);
  const csr = readCsr(decodeBody(Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)), () =>
    signerOf(arrival),
  );
  requireLink(label, csr.challengePassword);
  const unlinked = linkFailure(arrival, label, csr.challengePassword);
  const presented = presentedBy(request, label, csr.challengePassword);
  request.refusalAudited = true;
  return enrollOverEst(authority, {
    operation,
    label,
    csr,
    unlinked,
    presented,
    address: arrival.address,
    requestId: request.id,
  });
}

/** Of the connection: whether it is any good is found out where the device is, and nothing is issued before. */
function signerOf({ peerCertificate }: Arrival): Certificate | undefined {
  const der = peerCertificate();
  return der && readCertificate(der);
}

/** Thrown at once, but where an RA may hand over what is linked to another connection: then who asks decides (E49). */
function linkFailure(
  { socket, peerCertificate }: Arrival,
  label: EstLabel,
  challengePassword: string | undefined,
): AuthorityError | undefined {
  try {
    checkLink(socket, label, challengePassword);
    return undefined;
  } catch (error) {
    const mayBeRa = label.authentication.includes('ra') && peerCertificate() !== undefined;
    if (isAuthorityError(error, 'invalid') && mayBeRa) return error;
    throw error;
  }
}

export function sendEst(
  reply: FastifyReply,
  response: EstResponse,
  more: Readonly<Record<string, string[]>> = {},
): FastifyReply {
  // Node sends text and its head in one write and one TLS record, a Buffer in two. Base64 is ASCII; errors keep their Buffer,
  // because Fastify adds a charset to JSON that is given as text.
  const body = response.status === 200 ? response.body.toString('latin1') : response.body;
  return reply
    .code(response.status)
    .headers({ ...response.headers, ...more })
    .send(body);
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
