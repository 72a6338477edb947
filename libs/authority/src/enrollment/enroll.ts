import { AuthorityError, isAuthorityError } from '#kernel';
import type { AuthenticationMethod } from '#policy';
import type { AuthorityContext } from '../context.js';
import { authenticate } from './authenticate/authenticate.js';
import { enrollByAccount } from './enroll-by-account.js';
import { enrollByFingerprint } from './enroll-by-fingerprint.js';
import { enrollByKey } from './enroll-by-key.js';
import { enrollByManufacturer } from './enroll-by-manufacturer.js';
import { enrollByRa } from './enroll-by-ra.js';
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
  request: Pick<EstRequest, 'presented' | 'address' | 'requestId' | 'label'> & { operation: string },
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isAuthorityError(error)) {
      const { presented, operation, address, requestId } = request;
      const peerCertificate = looksAtCertificate(request) ? presented.peerCertificate() : undefined;
      await recordRefusal(a, {
        operation,
        label: request.label.name,
        address,
        requestId,
        peerCertificate,
        claimedUser: presented.digest?.user ?? presented.basic?.user,
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
  // RFC 7030 section 3.7: only an RA hands over what is linked to the connection of somebody else (E49).
  if (request.unlinked && principal.method !== 'ra') throw request.unlinked;
  switch (principal.method) {
    case 'secret':
      return enrollBySecret(a, request, principal.presented);
    case 'certificate':
      return renewCertificate(a, request, principal.current);
    case 'manufacturer':
      return enrollByManufacturer(a, request, principal);
    case 'fingerprint':
      return enrollByFingerprint(a, request, principal);
    case 'ra':
      return enrollByRa(a, request, principal.ra);
    case 'apiKey':
      return enrollByKey(a, request, principal.by);
    case 'account':
      return enrollByAccount(a, request, principal.person);
    default:
      return principal satisfies never;
  }
}

/** Reading it costs as much as checking a signature: what rests on a secret is refused without it. */
const looksAtCertificate = ({ operation, label }: Pick<EstRequest, 'label'> & { operation: string }): boolean =>
  operation !== 'simpleenroll' || label.authentication.some((one) => BY_CERTIFICATE.includes(one));

const BY_CERTIFICATE: readonly AuthenticationMethod[] = ['manufacturer', 'fingerprint', 'ra'];
