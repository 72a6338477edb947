import { openVerifier, parseCredential, verifierHash, verifierMatches } from '#credential';
import { AuthorityError } from '#kernel';
import type { SecretEnrollment } from '#store';
import type { AuthorityContext } from '../../context.js';
import { secretSealContext } from '../../secret-seal.js';
import { presentedApiKey } from './api-key.js';
import type { Way } from './principal.js';

export const wrongSecret = (): AuthorityError =>
  new AuthorityError('unauthenticated', 'user name or one-time secret is wrong, expired or used');

/** The one-time secret of a registered device: by HTTP Basic, or in the request itself where the label says so (E70). */
export const bySecret: Way = {
  method: 'secret',
  serves: ['simpleenroll', 'serverkeygen'],
  byCertificate: false,
  asks: 'device id and one-time secret by HTTP Basic',

  read: (a, { presented, address, label }) => {
    const { challenge } = presented;
    const basic = presented.basic ?? (challenge === undefined ? undefined : { user: '', password: challenge });
    // Where a label takes both, what reads as an API key was judged as one.
    const isKey = label.authentication.includes('apiKey') && presentedApiKey(presented) !== undefined;
    const read = basic && !isKey;
    return Promise.resolve(read ? { method: 'secret', presented: presentedSecret(a, basic, address) } : undefined);
  },
};

export interface PresentedSecret {
  user: string;
  /** Of the secret; undefined when it has not the form of one. */
  id: string | undefined;
  hash: Buffer;
  address: string;
}

/** Reads what was sent by HTTP Basic. Throws `limited` when this address, or this secret, has failed too often (EX14). */
export function presentedSecret(
  a: AuthorityContext,
  basic: { user: string; password: string },
  address: string,
): PresentedSecret {
  const credential = parseCredential(basic.password);
  const id = credential?.kind === 'enrollmentSecret' ? credential.id : undefined;
  a.failedAttempts.check(address, id);
  return { user: basic.user, id, hash: credential ? verifierHash(credential) : Buffer.alloc(32), address };
}

/**
 * One text and one amount of work for an unknown user, an unknown secret and a wrong one (EX12). Whether the secret may
 * still be used is another question.
 */
export function checkSecret(
  a: AuthorityContext,
  presented: PresentedSecret,
  found: SecretEnrollment | undefined,
): SecretEnrollment {
  const matches = verifierMatches(found && openSecret(a, found), presented.hash);
  // E45: the user name may be empty, the secret alone names the device.
  if (!matches || !found || (presented.user !== '' && presented.user !== found.device.id)) {
    a.failedAttempts.record(presented.address, presented.id);
    throw wrongSecret();
  }
  return found;
}

/** Throws `internal` for a row that is not as it was written. */
export function openSecret(
  a: AuthorityContext,
  { secret, device }: Pick<SecretEnrollment, 'secret' | 'device'>,
): Buffer {
  const pepper = a.peppers.get(secret.pepperVersion);
  if (!pepper) throw new AuthorityError('internal', 'secrets/pepper lacks a version that is in use');
  return openVerifier(pepper, secret.sealedVerifier, secretSealContext(secret, device));
}
