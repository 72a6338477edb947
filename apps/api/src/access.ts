import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { CREDENTIAL_PATTERN } from '#credential';
import { authenticateOperator, type Actor, type AuthorityContext, type Caller } from '#authority';
import { AuthorityError } from '#kernel';

/**
 * Who may call a route. `public`: anyone; `operator`: whoever holds a valid token, and row-level security limits what is
 * seen; `authority`: operators of the authority itself.
 */
export const ACCESS_LEVELS = ['public', 'operator', 'authority'] as const;
export type AccessLevel = (typeof ACCESS_LEVELS)[number];

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: AccessLevel;
    /** Logged at debug only: called too often to be told each time. */
    hot?: boolean;
  }
  interface FastifyRequest {
    /** Set by the access check; null on public routes. */
    caller: Caller | null;
  }
}

/** Every route carries one; a route without it stops the start. */
export const Access = (access: AccessLevel, options: { hot?: boolean } = {}): MethodDecorator =>
  RouteConfig({ access, ...options });

/**
 * Deny by default, in one place for Nest controllers and plain Fastify routes alike: registering a route that declares no
 * access throws, and each request is checked before its body is read. Must run before any route is registered.
 */
export function enforceAccess(instance: FastifyInstance, a: AuthorityContext): void {
  instance.decorateRequest('caller', null);
  instance.addHook('onRoute', (route) => {
    const access = route.config?.access;
    if (access === undefined || !ACCESS_LEVELS.includes(access)) {
      throw new AuthorityError('internal', `route ${String(route.method)} ${route.url} declares no access`, {
        code: 'undeclaredRoute',
      });
    }
  });
  instance.addHook('onRequest', async (request) => {
    refuseCredentialInQuery(request);
    if (!request.is404) await admit(a, request);
  });
}

async function admit(a: AuthorityContext, request: FastifyRequest): Promise<void> {
  const { access } = request.routeOptions.config;
  if (access === 'public') return;
  const caller = await authenticateOperator(a, bearerToken(request.headers.authorization), {
    address: request.ip,
    requestId: request.id,
  });
  if (access === 'operator' || (access === 'authority' && caller.actor.authority)) {
    request.caller = caller;
    return;
  }
  throw new AuthorityError('forbidden', 'only operators of the authority itself may do this');
}

/** RFC 6750 section 2.1; anything else counts as no token. */
export function bearerToken(header: string | undefined): string | undefined {
  return header === undefined ? undefined : /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i.exec(header)?.[1];
}

/** TX09: URLs end up in logs and histories, so a credential in one is refused even where it would be valid. */
function refuseCredentialInQuery(request: FastifyRequest): void {
  const url = request.raw.url ?? '';
  const query = url.indexOf('?');
  if (query === -1) return;
  const text = url.slice(query);
  if (CREDENTIAL_PATTERN.test(text) || /[?&](?:access_token|api_key|token)=/i.test(text)) {
    throw new AuthorityError(
      'malformed',
      'a credential stands in the query string; send it in the Authorization header or the body, and replace it: it may have been logged',
      { code: 'credentialInQuery' },
    );
  }
}

/** The authenticated caller as actor of this request. Throws `internal` on a public route, which has none. */
export function actorOf(request: FastifyRequest): Actor {
  if (request.caller === null) throw new AuthorityError('internal', 'a public route has no caller');
  return { ...request.caller.actor, requestId: request.id };
}
