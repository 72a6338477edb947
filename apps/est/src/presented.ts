import type { FastifyRequest } from 'fastify';
import type { EstRequest } from '#authority';
import { readBasic, readBearer } from '#est';
import type { EstLabel } from '#policy';
import type { Arrival } from './arrival.js';
import { notServed } from './framework-error.js';

/** By which way the request came; before its head was read there is none. */
export function arrivedBy(request: FastifyRequest): Arrival {
  if (!request.estArrival) throw notServed();
  return request.estArrival;
}

/**
 * What the request proves itself with. `challengePassword`: of a PKCS #10 request, which is the secret where the label says
 * so (E70). Throws `malformed` for an Authorization that cannot be read (EX13).
 */
export function presentedBy(
  request: FastifyRequest,
  label: Pick<EstLabel, 'challengePassword'>,
  challengePassword?: string,
): EstRequest['presented'] {
  const { authorization } = request.headers;
  return {
    basic: readBasic(authorization),
    bearer: readBearer(authorization),
    challenge: label.challengePassword === 'secret' ? challengePassword : undefined,
    peerCertificate: arrivedBy(request).peerCertificate,
  };
}
