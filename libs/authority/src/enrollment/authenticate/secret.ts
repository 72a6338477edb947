import { openVerifier, parseCredential, verifierHash, verifierMatches } from '#credential';
import { readSecretEnrollments, together, type SecretEnrollment } from '#store';
import type { AuthorityContext } from '../../context.js';
import { secretSealContext } from '../../secret-seal.js';
import type { EstRequest } from '../est-request.js';
import { presentedApiKey } from './api-key.js';
import { findByDigest, presentedDigest, type PresentedDigest } from './digest.js';
import type { Way } from './principal.js';
import { pepperOf, wrongSecret } from './wrong-secret.js';

/** The one-time secret of a registered device: by HTTP Basic, by Digest or in the request itself where the label says so (E70). */
export const bySecret: Way = {
  method: 'secret',
  serves: ['simpleenroll', 'serverkeygen'],
  byCertificate: false,
  asks: ({ digest }) => `device id and one-time secret by HTTP ${digest ? 'Digest or Basic' : 'Basic'}`,

  read: (a, request) => {
    const presented = sentSecret(a, request);
    return Promise.resolve(presented && { method: 'secret', presented });
  },
};

/** A one-time secret, or what takes its place; undefined where the request has none. Throws as the two ways of reading do. */
export function sentSecret(
  a: AuthorityContext,
  { presented, address, label }: Pick<EstRequest, 'presented' | 'address' | 'label'>,
): PresentedSecret | undefined {
  const { challenge, digest } = presented;
  if (digest) return presentedDigest(a, digest, address);
  const basic = presented.basic ?? (challenge === undefined ? undefined : { user: '', password: challenge });
  // Where a label takes both, what reads as an API key was judged as one.
  const isKey = label.authentication.includes('apiKey') && presentedApiKey(presented) !== undefined;
  return basic && !isKey ? presentedSecret(a, basic, address) : undefined;
}

export type PresentedSecret = PresentedPassword | PresentedDigest;

export interface PresentedPassword {
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
): PresentedPassword {
  const credential = parseCredential(basic.password);
  const id = credential?.kind === 'enrollmentSecret' ? credential.id : undefined;
  a.failedAttempts.check(address, id);
  return { user: basic.user, id, hash: credential ? verifierHash(credential) : Buffer.alloc(32), address };
}

/**
 * Whose secret it is, with all that decides about its use; `spkiSha256` of the key that is asked for. Whether the secret
 * may still be used is another question. Throws `unauthenticated`.
 */
export async function findSecret(
  a: AuthorityContext,
  presented: PresentedSecret,
  spkiSha256: Buffer,
): Promise<SecretEnrollment> {
  if ('digest' in presented) return findByDigest(a, presented, spkiSha256);
  const { id } = presented;
  const found =
    id === undefined ? undefined : await together(a.database, readSecretEnrollments, { secretId: id, spkiSha256 });
  return checkSecret(a, presented, found);
}

/** One text and one amount of work for an unknown user, an unknown secret and a wrong one (EX12). */
function checkSecret(
  a: AuthorityContext,
  presented: PresentedPassword,
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
  return openVerifier(pepperOf(a, secret.pepperVersion), secret.sealedVerifier, secretSealContext(secret, device));
}
