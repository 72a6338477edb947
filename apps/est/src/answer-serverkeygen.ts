import type { FastifyReply, FastifyRequest } from 'fastify';
import { enrollWithServerKey, type AuthorityContext, type ServerKey } from '#authority';
import { decodeBody, pendingResponse, serverKeyResponse, type LineForm, type SentKey } from '#est';
import { readKeyRequest, sealKeyPackage } from '#pki';
import type { EstLabel } from '#policy';
import { checkLink, requireLink } from './check-link.js';
import { arrivedBy, presentedBy } from './presented.js';
import { withWindowOf } from './renewal-window.js';
import type { ServerSigner } from './server-signer.js';

/**
 * RFC 7030 section 4.4: a key that is made here, in clear inside TLS or encrypted to a key of the device. It is held in buffers alone,
 * and these are zeroed as soon as the answer is out (E109).
 */
export async function answerServerKeygen(
  authority: AuthorityContext,
  server: ServerSigner,
  label: EstLabel,
  request: FastifyRequest,
  reply: FastifyReply,
  form: LineForm,
): Promise<FastifyReply> {
  const { socket, address } = arrivedBy(request);
  const asked = readKeyRequest(decodeBody(Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)));
  requireLink(label, asked.challengePassword);
  checkLink(socket, label, asked.challengePassword);
  const presented = presentedBy(request, label, asked.challengePassword);
  request.refusalAudited = true;
  const made = await enrollWithServerKey(authority, {
    label,
    asked,
    presented,
    address,
    requestId: request.id,
  });
  if (made.state === 'pending') {
    const { status, headers, body } = pendingResponse(made.retryAfter);
    return reply.code(status).headers(headers).send(body);
  }
  try {
    const response = serverKeyResponse(sentKey(authority, server, made), made.certificate, form);
    const { status, headers, body } = withWindowOf(made.certificate, response);
    reply.raw.once('close', () => body.fill(0));
    return reply.code(status).headers(headers).send(body);
  } finally {
    made.pkcs8.fill(0);
  }
}

function sentKey(authority: AuthorityContext, server: ServerSigner, { pkcs8, delivery }: ServerKey): SentKey {
  if (delivery === undefined) return { form: 'pkcs8', der: pkcs8 };
  const signed = { pkcs8, signer: server.signer, signingTime: authority.clock.now() };
  return { form: 'sealed', der: sealKeyPackage({ ...signed, ...delivery }) };
}
