import type { TLSSocket } from 'node:tls';
import type { FastifyRequest } from 'fastify';
import { csrDemandFor, type AuthorityContext } from '#authority';
import { csrAttributesFor, csrAttributesResponse, readBasic, type EstResponse, type LineForm } from '#est';
import type { EstLabel } from '#policy';
import { peerCertificate } from './peer-certificate.js';

/** RFC 7030 section 4.5: what a request should say; nobody has to say who he is (E121). */
export async function answerCsrAttributes(
  authority: AuthorityContext,
  label: EstLabel,
  request: FastifyRequest,
  form: LineForm,
): Promise<EstResponse> {
  const socket = request.raw.socket as TLSSocket;
  const demand = await csrDemandFor(authority, {
    label,
    presented: {
      basic: readBasic(request.headers.authorization),
      bearer: undefined,
      peerCertificate: () => peerCertificate(socket),
    },
    address: request.ip,
  });
  return csrAttributesResponse(csrAttributesFor(demand), form, { personal: demand.names !== undefined });
}
