import type { FastifyRequest } from 'fastify';
import type { AuthorityContext } from '#authority';
import { challenges, type EstOperation } from '#est';
import { AuthorityError, isAuthorityError } from '#kernel';
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

const BY_SECRET: readonly EstOperation[] = ['simpleenroll', 'serverkeygen', 'fullcmc'];

/**
 * Who is going to answer by Digest asks for the nonce first, and then sends no body (curl does so). Nothing is asked for
 * with that, and nothing refused: no audit entry tells of it. Throws `unauthenticated`.
 */
export function challengeEmpty(operation: EstOperation, label: EstLabel, request: FastifyRequest): void {
  const empty = !Buffer.isBuffer(request.body) || request.body.length === 0;
  if (!label.digest || !BY_SECRET.includes(operation) || !empty || request.headers.authorization !== undefined) return;
  request.refusalAudited = true;
  throw new AuthorityError('unauthenticated', 'answer the challenge, and send the request with that');
}
