import { AuthorityError } from '#kernel';
import { findDeviceIdentity } from '#store';
import type { AuthorityContext } from '../context.js';
import { believedIdentity } from '../device-identities.js';
import type { Principal } from './authenticate/principal.js';
import { enrollVouched } from './enroll-as.js';
import type { EnrollmentOutcome, EstRequest } from './est-request.js';

/** First enrollment by a certificate whose fingerprint, or whose key's, was registered with the device. */
export function enrollByFingerprint(
  a: AuthorityContext,
  request: EstRequest,
  { identity, certificate }: Extract<Principal, { method: 'fingerprint' }>,
): Promise<EnrollmentOutcome> {
  const { id, deviceId, kind, value } = identity;
  return enrollVouched(a, request, {
    find: async (tx) => {
      // Removed since it was looked up, it counts no more.
      const row = await findDeviceIdentity(tx, identity);
      if (row?.id !== id || !(await believedIdentity(tx, a, row))) {
        throw new AuthorityError('forbidden', 'the client certificate is none that this label takes');
      }
      const { requestId } = request;
      const actor = { id: `device:${deviceId}`, organizationId: a.authorityId, authority: false, requestId };
      return { deviceId, requester: `fingerprint:${id}`, actor };
    },
    approval: false,
    provedBy: certificate.publicKey.sha256,
    knownAs: certificate.subjectDer,
    detail: { authentication: 'fingerprint', [kind]: value },
  });
}
