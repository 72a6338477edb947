import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { CREDENTIAL_PATTERN } from '#credential';
import { authenticateOperator, flagExposedKeys, type Actor, type AuthorityContext, type Caller } from '#authority';
import { AuthorityError } from '#kernel';
import { PERMISSIONS, type Permission } from '#policy';
import { refuseCrossSite, sessionToken } from './session-cookie.js';

/**
 * Who may call a route: anyone (`public`), or whoever holds the permission named, by the roles of `#policy`. Row-level
 * security limits what is then seen.
 */
export type RouteAccess = 'public' | Permission;

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: RouteAccess;
    /** Logged at debug only: called too often to be told each time. */
    hot?: boolean;
    /** The body may hold a credential: it is what the route is about. */
    takesCredential?: boolean;
    /** The largest body that it takes, where that is not the one of every route. */
    bodyBytes?: number;
    /** Answers 405 and nothing else: no part of the authorization matrix. */
    refusesMethods?: boolean;
  }
  interface FastifyInstance {
    /** Every route as registered, for the authorization matrix. */
    routeTable: { method: string; url: string; access: RouteAccess }[];
  }
  interface FastifyRequest {
    /** Set by the access check; null on public routes. */
    caller: Caller | null;
  }
}

/** Every route carries one; a route without it stops the start. */
export const Access = (
  access: RouteAccess,
  options: { hot?: boolean; takesCredential?: boolean; bodyBytes?: number } = {},
): MethodDecorator => RouteConfig({ access, ...options });

/**
 * Deny by default, in one place for Nest controllers and plain Fastify routes alike: registering a route that declares no
 * access throws, and each request is checked before its body is read. `noteUse` is told of each token that was good. Must run before any route is registered.
 */
export function enforceAccess(
  instance: FastifyInstance,
  a: AuthorityContext,
  noteUse = (_tokenId: string): void => undefined,
): void {
  instance.decorateRequest('caller', null);
  instance.decorate('routeTable', []);
  instance.addHook('onRoute', (route) => {
    const access = route.config?.access;
    if (access === undefined || (access !== 'public' && !PERMISSIONS.includes(access))) {
      throw new AuthorityError('internal', `route ${String(route.method)} ${route.url} declares no access`, {
        code: 'undeclaredRoute',
      });
    }
    if (route.config?.refusesMethods === true) return;
    for (const method of [route.method].flat()) instance.routeTable.push({ method, url: route.url, access });
  });
  instance.addHook('onRequest', async (request) => {
    await refuseCredentialInQuery(a, request);
    if (request.is404) return;
    await admit(a, request);
    if (request.caller !== null) noteUse(request.caller.tokenId);
  });
  instance.addHook('preHandler', (request, _reply, done) => {
    refuseCredentialInBody(request);
    done();
  });
}

async function admit(a: AuthorityContext, request: FastifyRequest): Promise<void> {
  const { access } = request.routeOptions.config;
  if (access === 'public') return;
  if (access === undefined) throw new AuthorityError('forbidden', 'this route declares no access');
  const caller = await authenticateOperator(a, presentedToken(request), {
    address: request.ip,
    requestId: request.id,
  });
  if (!caller.permissions.has(access)) {
    throw new AuthorityError('forbidden', `this needs the permission ${access}; ${rolesText(caller)}`);
  }
  request.caller = caller;
  // What is asked once per call of a provider, and what watches the instance, is not counted.
  if (request.routeOptions.config.hot === true) return;
  await a.quotas.take('requests', caller.organization.id, actorOf(request));
}

function rolesText({ roles, organization }: Caller): string {
  const held = roles.length === 0 ? 'no role' : `the role ${roles.join(', ')}`;
  return `the caller has ${held} in an organization of kind ${organization.kind}`;
}

/** The header, or else the session of a browser, which must have been meant to send this. */
function presentedToken(request: FastifyRequest): string | undefined {
  const { authorization } = request.headers;
  if (authorization !== undefined) return bearerToken(authorization);
  const token = sessionToken(request);
  if (token !== undefined) refuseCrossSite(request);
  return token;
}

/** RFC 6750 section 2.1; anything else counts as no token. */
export function bearerToken(header: string | undefined): string | undefined {
  return header === undefined ? undefined : /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i.exec(header)?.[1];
}

/** TX09: URLs end up in logs and histories, so a credential in one is refused even where it would be valid. */
async function refuseCredentialInQuery(a: AuthorityContext, request: FastifyRequest): Promise<void> {
  const url = request.raw.url ?? '';
  const query = url.indexOf('?');
  if (query === -1) return;
  const text = url.slice(query);
  if (CREDENTIAL_PATTERN.test(text) || /[?&](?:access_token|api_key|token)=/i.test(text)) {
    await flagExposedKeys(a, text, { address: request.ip, requestId: request.id });
    throw new AuthorityError(
      'malformed',
      'a credential stands in the query string; send it in the Authorization header or the body, and replace it: it may have been logged',
      { code: 'credentialInQuery' },
    );
  }
}

/**
 * A key or token pasted into a name or a description would be stored, listed, audited and mailed: it is refused where the
 * route is not about one.
 */
function refuseCredentialInBody(request: FastifyRequest): void {
  const { body, routeOptions } = request;
  if (typeof body !== 'object' || body === null || routeOptions.config.takesCredential === true) return;
  if (CREDENTIAL_PATTERN.test(JSON.stringify(body))) {
    throw new AuthorityError(
      'malformed',
      'a credential stands in the body; leave it out, and replace it if others may have seen it',
      { code: 'credentialInBody' },
    );
  }
}

/** Who asks, with what it may do. Throws `internal` on a public route, which has none. */
export function callerOf(request: FastifyRequest): Caller {
  if (request.caller === null) throw new AuthorityError('internal', 'a public route has no caller');
  return request.caller;
}

/** The authenticated caller as actor of this request. Throws `internal` on a public route, which has none. */
export function actorOf(request: FastifyRequest): Actor {
  return { ...callerOf(request).actor, requestId: request.id };
}
