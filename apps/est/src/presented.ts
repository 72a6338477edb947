import type { FastifyRequest } from 'fastify';
import type { EstRequest } from '#authority';
import { readBasic, readBearer, readDigest } from '#est';
import { AuthorityError } from '#kernel';
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
 * so (E70). Throws `malformed` for an Authorization that cannot be read, or that is about another request (EX13).
 */
export function presentedBy(
  request: FastifyRequest,
  label: Pick<EstLabel, 'challengePassword' | 'digest'>,
  challengePassword?: string,
): EstRequest['presented'] {
  const { authorization } = request.headers;
  return {
    basic: readBasic(authorization),
    bearer: readBearer(authorization),
    digest: label.digest ? digestOf(request) : undefined,
    challenge: label.challengePassword === 'secret' ? challengePassword : undefined,
    peerCertificate: arrivedBy(request).peerCertificate,
  };
}

/** RFC 7616 section 3.4.6: a response to a challenge is good for the request that it was computed for. */
function digestOf({ method, headers, raw }: FastifyRequest): EstRequest['presented']['digest'] {
  const digest = readDigest(headers.authorization);
  if (digest === undefined) return undefined;
  if (digest.uri === raw.url) return { ...digest, method };
  throw new AuthorityError('malformed', 'The uri of Digest is not the one that is asked for');
}
