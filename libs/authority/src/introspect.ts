import { parseCredential, verifierHash, verifierMatches } from '#credential';
import { audienceIncludes } from '#policy';
import { effectiveStatus } from './change-key.js';
import type { AuthorityContext } from './context.js';

export type InactiveReason = 'pending' | 'suspended' | 'revoked' | 'expired' | 'audience';

/** RFC 7662 section 2.2. Of an unknown key nothing but `active: false`. */
export type IntrospectionAnswer =
  | { active: false }
  | { active: false; id: string; reason: InactiveReason; seq: number }
  | {
      active: true;
      id: string;
      token_type: 'api_key';
      status: 'active' | 'retiring';
      client_id: string;
      iss: string;
      environment: 'live' | 'test';
      /** Seconds since the epoch: when the key stops being good. */
      exp: number;
      /** Up to which change of the status log this answer is. */
      seq: number;
    };

/** How old what is answered may be. */
const MAX_AGE_MS = 60_000;

const UNKNOWN: IntrospectionAnswer = { active: false };

/**
 * What a key is worth now: in memory, without any write. `provider` is who asks (or for whom the operator asks): the key's
 * audience must include it. Throws `unavailable` when the status log was not followed for a minute or is not believed. Reasons are told only to someone who presented the whole key.
 */
export function introspect(
  a: Pick<AuthorityContext, 'follower' | 'clock'>,
  token: string,
  provider: { id: string; country: string | null } | undefined,
): IntrospectionAnswer {
  const credential = parseCredential(token);
  if (credential?.kind !== 'apiKey') return UNKNOWN;
  // A key revoked meanwhile must not pass because nobody told us.
  a.follower.assertFresh(MAX_AGE_MS);
  const { index } = a.follower;
  const key = index.key(credential.id);
  const matches = verifierMatches(key?.verifier, verifierHash(credential));
  if (key === undefined || !matches) return UNKNOWN;
  const status = effectiveStatus(key, a.clock.now());
  const inactive = (reason: InactiveReason): IntrospectionAnswer => ({
    active: false,
    id: key.id,
    reason,
    seq: index.seq,
  });
  if (status !== 'active' && status !== 'retiring') return inactive(status);
  if (provider && !audienceIncludes(key, provider)) return inactive('audience');
  const end = key.endsAt !== null && key.endsAt < key.expiresAt ? key.endsAt : key.expiresAt;
  return {
    active: true,
    id: key.id,
    token_type: 'api_key',
    status,
    client_id: key.releaseId,
    iss: key.issuerOrgId,
    environment: key.environment,
    exp: Math.floor(end.getTime() / 1000),
    seq: index.seq,
  };
}
