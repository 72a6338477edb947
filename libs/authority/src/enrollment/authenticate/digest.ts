import { timingSafeEqual } from 'node:crypto';
import { openVerifier } from '#credential';
import { digestResponse } from '#est';
import { AuthorityError } from '#kernel';
import { isId, readDigestEnrollments, type SecretEnrollment } from '#store';
import type { AuthorityContext } from '../../context.js';
import { digestSealContext } from '../../secret-seal.js';
import type { Presented } from '../est-request.js';
import { pepperOf, wrongSecret } from './wrong-secret.js';

/** Secrets of one device that are tried; who has had more resets than that since has no use for the older ones. */
const TRIED = 4;
const NO_KEY = Buffer.alloc(32);

/** A one-time secret that was not sent: the response to a challenge that only who has it can compute. */
export interface PresentedDigest {
  user: string;
  digest: NonNullable<Presented['digest']>;
  address: string;
}

/**
 * Reads what was sent by HTTP Digest, whose nonce is ours and fresh. Throws `limited` when this address has failed too often
 * (EX14): no secret is named, and by the device, whose id is no secret, anybody could lock it out. Throws `unauthenticated`,
 * with code `staleNonce` where another try with the new nonce may do.
 */
export function presentedDigest(
  a: AuthorityContext,
  digest: NonNullable<Presented['digest']>,
  address: string,
): PresentedDigest {
  a.failedAttempts.check(address);
  const judged = a.digestNonces.judge(digest.nonce);
  if (judged === 'foreign') throw refused(a, address);
  if (judged === 'old') throw staleNonce();
  return { user: digest.user, digest, address };
}

/**
 * Whose secret the response was computed with. One text and one amount of work for an unknown user, for one without a
 * secret that has Digest, and for a wrong response (EX12). A response that was used already is refused like an old nonce:
 * who has the secret goes on with the new one. Throws `unauthenticated`.
 */
export async function findByDigest(
  a: AuthorityContext,
  presented: PresentedDigest,
  spkiSha256: Buffer,
): Promise<SecretEnrollment> {
  const { user, digest, address } = presented;
  const candidates = isId(user)
    ? await a.database.single((tx) => readDigestEnrollments(tx, user, spkiSha256, TRIED))
    : [];
  let found: SecretEnrollment | undefined;
  for (let tried = 0; tried < TRIED; tried++) {
    const candidate = candidates[tried];
    const expected = digestResponse(candidate ? openDigest(a, candidate) : NO_KEY, digest);
    if (timingSafeEqual(expected, digest.response)) found ??= candidate;
  }
  if (found === undefined) throw refused(a, address);
  if (!a.digestNonces.claim(digest.nonce, digest.nc, digest)) throw staleNonce();
  return found;
}

/** Throws `internal` for a row that is not as it was written. */
function openDigest(a: AuthorityContext, { secret, device }: SecretEnrollment): Buffer {
  if (!secret.sealedDigest) throw new AuthorityError('internal', 'a secret without Digest was read for it');
  return openVerifier(pepperOf(a, secret.pepperVersion), secret.sealedDigest, digestSealContext(secret, device));
}

function refused(a: AuthorityContext, address: string): AuthorityError {
  a.failedAttempts.record(address);
  return wrongSecret();
}

const staleNonce = (): AuthorityError =>
  new AuthorityError('unauthenticated', 'the nonce is old or was used; answer the new one', { code: 'staleNonce' });
