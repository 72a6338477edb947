import type { TLSSocket } from 'node:tls';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { enrollWithServerKey, type AuthorityContext, type ServerKey } from '#authority';
import { decodeBody, readBasic, serverKeyResponse, type LineForm, type SentKey } from '#est';
import { readKeyRequest, sealKeyPackage } from '#pki';
import type { EstLabel } from '#policy';
import { checkChannelBinding } from './channel-binding.js';
import { peerCertificate } from './peer-certificate.js';
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
  const socket = request.raw.socket as TLSSocket;
  const asked = readKeyRequest(decodeBody(Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)));
  checkChannelBinding(socket, asked.challengePassword);
  const basic = readBasic(request.headers.authorization);
  request.refusalAudited = true;
  const made = await enrollWithServerKey(authority, {
    label,
    asked,
    presented: { basic, bearer: undefined, peerCertificate: () => peerCertificate(socket) },
    address: request.ip,
    requestId: request.id,
  });
  try {
    const { status, headers, body } = serverKeyResponse(sentKey(authority, server, made), made.certificate, form);
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
