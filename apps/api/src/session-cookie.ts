import type { FastifyReply, FastifyRequest } from 'fastify';
import { AuthorityError } from '#kernel';

/** `__Host-`: of this host alone, over TLS alone, for every path, and no other host can set it (RFC 6265bis section 4.1.3). */
const SESSION = '__Host-touchmark';
/** Binds a sign-in that goes over another site to the browser that began it. */
const ATTEMPT = '__Host-touchmark-sign-in';
const FLAGS = 'Path=/; Secure; HttpOnly';

export const sessionToken = (request: FastifyRequest): string | undefined => cookie(request, SESSION);
export const attemptBinding = (request: FastifyRequest): string | undefined => cookie(request, ATTEMPT);

export function setSession(reply: FastifyReply, token: string, seconds: number): void {
  add(reply, `${SESSION}=${token}; Max-Age=${seconds}; SameSite=Strict; ${FLAGS}`);
}

export function clearSession(reply: FastifyReply): void {
  add(reply, `${SESSION}=; Max-Age=0; SameSite=Strict; ${FLAGS}`);
}

/** Lax: it has to come along when the issuer sends the browser back. */
export function setAttemptBinding(reply: FastifyReply, binding: string, seconds: number): void {
  add(reply, `${ATTEMPT}=${binding}; Max-Age=${seconds}; SameSite=Lax; ${FLAGS}`);
}

export function clearAttemptBinding(reply: FastifyReply): void {
  add(reply, `${ATTEMPT}=; Max-Age=0; SameSite=Lax; ${FLAGS}`);
}

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * A browser sends the cookie with whatever page made it ask: what changes something must come from a page of ours. Throws
 * `forbidden` (code `crossSite`) where neither Sec-Fetch-Site nor Origin says so.
 */
export function refuseCrossSite(request: FastifyRequest): void {
  if (SAFE.has(request.method)) return;
  const site = request.headers['sec-fetch-site'];
  const { origin, host } = request.headers;
  const ownOrigin = origin !== undefined && host !== undefined && origin === `https://${host}`;
  if (site === undefined ? ownOrigin : site === 'same-origin') return;
  throw new AuthorityError('forbidden', 'this request was not made by a page of this site', { code: 'crossSite' });
}

/** Of sign-in, which has no cookie yet: another site must not sign a browser in as somebody of its choice. */
export function refuseForeignPage(request: FastifyRequest): void {
  const { origin } = request.headers;
  if (origin === undefined && request.headers['sec-fetch-site'] === undefined) return;
  refuseCrossSite(request);
}

function cookie(request: FastifyRequest, name: string): string | undefined {
  const header = request.headers.cookie;
  if (header === undefined) return undefined;
  for (const pair of header.split(';')) {
    const at = pair.indexOf('=');
    if (at !== -1 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return undefined;
}

function add(reply: FastifyReply, value: string): void {
  void reply.header('set-cookie', value);
}
