import type { FastifyRequest } from 'fastify';
import { addressOf } from './arrival.js';
import { flagExposedKeys, type AuthorityContext } from '#authority';
import { CREDENTIAL_PATTERN } from '#credential';
import { AuthorityError } from '#kernel';

/**
 * URLs end up in logs of proxies and clients: a credential in one is refused even where it would be valid, and whose it is
 * is told to replace it (TX09). No operation of EST has a query.
 */
export async function refuseCredentialInQuery(a: AuthorityContext, request: FastifyRequest): Promise<void> {
  const url = request.raw.url ?? '';
  const query = url.indexOf('?');
  if (query === -1) return;
  const text = url.slice(query);
  if (!CREDENTIAL_PATTERN.test(text) && !/[?&](?:access_token|api_key|token)=/i.test(text)) return;
  await flagExposedKeys(a, text, { address: addressOf(request), requestId: request.id });
  throw new AuthorityError(
    'malformed',
    'a credential stands in the query string; send it in the Authorization header, and replace it: it may have been logged',
    { code: 'credentialInQuery' },
  );
}
