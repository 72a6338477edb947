import { AuthorityError, isAuthorityError } from '#kernel';
import type { AuthorityContext } from '../../context.js';
import { byAccount } from './account.js';
import { byApiKey } from './api-key.js';
import { byFingerprint } from './fingerprint.js';
import { byManufacturer } from './manufacturer.js';
import { byOwnCertificate } from './own-certificate.js';
import type { Asked, Principal, Way } from './principal.js';
import { byRegistrationAuthority } from './registration-authority.js';
import { bySecret } from './secret.js';

/** Every way that there is, the strongest first: a key that was proved to be held counts more than what can be copied. */
const WAYS: readonly Way[] = [
  byRegistrationAuthority,
  byOwnCertificate,
  byManufacturer,
  byFingerprint,
  byAccount,
  byApiKey,
  bySecret,
];

/**
 * Who asks, by the ways that the label takes and the operation allows. What the request presents decides; where that is
 * several, the strongest that is accepted. Throws `unauthenticated` where nothing that counts was presented, `forbidden`
 * for a certificate that is not accepted, `limited` after too many failures.
 */
export async function authenticate(a: AuthorityContext, request: Asked): Promise<Principal> {
  const { label, operation, presented } = request;
  const ways = WAYS.filter((way) => label.authentication.includes(way.method) && way.serves.includes(operation));
  let refusal: AuthorityError | undefined;
  for (const way of ways) {
    try {
      const principal = await way.read(a, request);
      if (principal !== undefined) return principal;
    } catch (error) {
      if (!isAuthorityError(error, 'forbidden')) throw error;
      refusal ??= error;
    }
  }
  if (refusal !== undefined) throw refusal;
  if (ways.some((way) => way.byCertificate) && presented.peerCertificate() !== undefined) {
    throw new AuthorityError('forbidden', 'the client certificate is none that this label takes');
  }
  throw new AuthorityError('unauthenticated', whatToSend(request, ways));
}

/** What the label takes, which is no secret, and nothing about who would be let in. */
function whatToSend({ operation, label }: Asked, ways: readonly Way[]): string {
  const asked = ways.map(({ asks }) => (typeof asks === 'string' ? asks : asks(label))).join(', or ');
  if (operation === 'simplereenroll') {
    return asked === '' ? 'nothing is renewed under this label' : `re-enrollment needs ${asked}`;
  }
  return asked === '' ? 'there is no first enrollment under this label' : `send ${asked}`;
}
