import type { Pepper } from '#credential';
import { AuthorityError } from '#kernel';
import type { AuthorityContext } from '../../context.js';

export const wrongSecret = (): AuthorityError =>
  new AuthorityError('unauthenticated', 'user name or one-time secret is wrong, expired or used');

/** What the stored half of a secret is sealed under. Throws `internal` where it is gone. */
export function pepperOf(a: Pick<AuthorityContext, 'peppers'>, version: number): Pepper {
  const pepper = a.peppers.get(version);
  if (!pepper) throw new AuthorityError('internal', 'secrets/pepper lacks a version that is in use');
  return pepper;
}
