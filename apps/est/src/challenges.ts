import type { AuthorityContext } from '#authority';
import { challenges } from '#est';
import { isAuthorityError } from '#kernel';
import type { AuthenticationMethod, EstLabel } from '#policy';

/** What the label takes; where there is none, what shipped labels take. `error`: what the 401 is about. */
export function challengesOf(
  { digestNonces }: Pick<AuthorityContext, 'digestNonces'>,
  label: EstLabel | null,
  error: unknown,
): Record<string, string[]> {
  const takes = (...ways: AuthenticationMethod[]) => ways.some((way) => label?.authentication.includes(way) === true);
  const stale = isAuthorityError(error) && error.code === 'staleNonce';
  return {
    'WWW-Authenticate': challenges({
      digest: label?.digest === true ? { nonce: digestNonces.make(), stale } : undefined,
      basic: takes('secret', 'apiKey'),
      bearer: takes('apiKey', 'account'),
    }),
  };
}
