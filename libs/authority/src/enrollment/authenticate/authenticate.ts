import { AuthorityError } from '#kernel';
import type { AuthenticationMethod } from '#policy';
import type { AuthorityContext } from '../../context.js';
import type { EstRequest } from '../est-request.js';
import { authenticateCertificate } from './own-certificate.js';
import type { Principal } from './principal.js';
import { presentedSecret } from './secret.js';

/**
 * Who asks, by the ways that the label takes and the operation allows. Throws `unauthenticated` where nothing that counts
 * was presented, `forbidden` for a certificate that is not accepted, `limited` after too many failures.
 */
export async function authenticate(
  a: AuthorityContext,
  request: Pick<EstRequest, 'label' | 'operation' | 'presented' | 'address'>,
): Promise<Principal> {
  const { label, operation, presented } = request;
  const takes = (method: AuthenticationMethod): boolean => label.authentication.includes(method);
  if (operation === 'simplereenroll') {
    const certificate = takes('certificate') ? presented.peerCertificate() : undefined;
    if (certificate) return { method: 'certificate', current: await authenticateCertificate(a, certificate) };
    throw new AuthorityError('unauthenticated', 're-enrollment needs the current certificate in the TLS handshake');
  }
  if (operation === 'serverkeygen' && !presented.basic && takes('certificate')) {
    const certificate = presented.peerCertificate();
    if (certificate) return { method: 'certificate', current: await authenticateCertificate(a, certificate) };
  }
  if (takes('secret') && presented.basic) {
    return { method: 'secret', presented: presentedSecret(a, presented.basic, request.address) };
  }
  throw new AuthorityError('unauthenticated', 'send device id and one-time secret by HTTP Basic');
}
