import { AuthorityError, isAuthorityError } from '#kernel';
import type { AuthorityContext } from '../context.js';
import { authenticate } from './authenticate/authenticate.js';
import type { Principal } from './authenticate/principal.js';
import { enrollBySecret } from './enroll-by-secret.js';
import type { EnrollmentOutcome, EstRequest } from './est-request.js';
import { recordRefusal } from './record-refusal.js';
import { renewCertificate } from './renew.js';

/**
 * The whole of one enrollment, first or renewal: authenticate, decide, record the intent, sign, store. A request that was
 * interrupted anywhere is resumed by being sent again: the same secret, or the same certificate, with the same key and
 * names ends with the same certificate.
 * Throws `unauthenticated`, `forbidden`, `malformed`, `invalid`, `limited`, `unavailable`; refusals are audited.
 */
export function enrollOverEst(a: AuthorityContext, request: EstRequest): Promise<EnrollmentOutcome> {
  return recordingRefusals(a, request, async () => enrollAs(a, request, await authenticate(a, request)));
}

/** What is refused within leaves an audit entry. */
export async function recordingRefusals<T>(
  a: AuthorityContext,
  request: Pick<EstRequest, 'presented' | 'address' | 'requestId'> & { operation: string },
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isAuthorityError(error)) {
      const { presented, operation, address, requestId } = request;
      const peerCertificate = operation === 'simpleenroll' ? undefined : presented.peerCertificate();
      await recordRefusal(a, {
        operation,
        address,
        requestId,
        peerCertificate,
        claimedUser: presented.basic?.user,
        error,
      });
    }
    throw error;
  }
}

/** The one way on, whoever it is and whatever operation he came by. */
export async function enrollAs(
  a: AuthorityContext,
  request: EstRequest,
  principal: Principal,
): Promise<EnrollmentOutcome> {
  if (request.csr.possession !== undefined && principal.method !== 'certificate') {
    // RFC 9883 section 4: the path of the certificate that proves the key is validated, which is done for no other caller.
    throw new AuthorityError('invalid', 'a key that cannot sign is asked for with the certificate that proves it', {
      code: 'possession',
    });
  }
  switch (principal.method) {
    case 'secret':
      return enrollBySecret(a, request, principal.presented);
    case 'certificate':
      return renewCertificate(a, request, principal.current);
    default:
      throw new AuthorityError('internal', `nobody enrolls by ${principal.method} here`);
  }
}
