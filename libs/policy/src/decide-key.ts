import { AuthorityError, addSeconds } from '#kernel';

/** At most so many keys of one release and environment are usable at a time: the current one and the retiring one. */
export const USABLE_KEYS = 2;

/**
 * When a new key ends: as asked, but expiry is mandatory and bounded. Throws `invalid` (member `expiresAt`) for a time in
 * the past or further off than `maxSeconds`.
 */
export function decideKeyExpiry(now: Date, wished: Date | undefined, maxSeconds: number): Date {
  const latest = addSeconds(now, maxSeconds);
  if (wished === undefined) return latest;
  if (wished <= now) throw new AuthorityError('invalid', 'expiresAt: lies in the past', { member: 'expiresAt' });
  if (wished > latest) {
    throw new AuthorityError(
      'invalid',
      `expiresAt: at most ${maxSeconds / 86_400} days from now (${latest.toISOString()})`,
      {
        member: 'expiresAt',
      },
    );
  }
  return wished;
}

/** Rotation never lengthens a life: the old key ends at its own end or after the overlap, whichever comes first. */
export function decideRetirement(now: Date, expiresAt: Date, overlapSeconds: number): Date {
  const end = addSeconds(now, overlapSeconds);
  return end < expiresAt ? end : expiresAt;
}

/** The successor lives as long as its predecessor was made to, from now on, and no longer than policy allows. */
export function decideSuccessorExpiry(
  now: Date,
  predecessor: { createdAt: Date; expiresAt: Date },
  maxSeconds: number,
): Date {
  const life = (predecessor.expiresAt.getTime() - predecessor.createdAt.getTime()) / 1000;
  return addSeconds(now, Math.min(Math.floor(life), maxSeconds));
}

export interface KeyAudience {
  audience: 'all' | 'providers' | 'countries';
  audienceValues: readonly string[];
}

/** Whether a provider may accept the key. "all" is judged here, at each check, so that later providers are included. */
export function audienceIncludes(key: KeyAudience, provider: { id: string; country: string | null }): boolean {
  switch (key.audience) {
    case 'all':
      return true;
    case 'providers':
      return key.audienceValues.includes(provider.id);
    case 'countries':
      return provider.country !== null && key.audienceValues.includes(provider.country);
    default: {
      const unknown: never = key.audience;
      throw new AuthorityError('internal', `unknown audience ${String(unknown)}`);
    }
  }
}
