import { createHash } from 'node:crypto';
import { AuthorityError } from '#kernel';
import type { ErrorKind } from '#kernel';
import { certsOnly } from '#pki';
import { encodeBody } from './base64.js';
import type { LineForm } from './base64.js';
import { acceptNames, CHALLENGE } from './headers.js';

export interface EstResponse {
  status: number;
  /** Always with `Content-Length`: EST clients fail on chunked answers (E23a). */
  headers: Record<string, string>;
  body: Buffer;
}

const PROBLEM_JSON = 'application/problem+json';
/** Short, since a root rollover should reach clients soon (E32). */
const CACERTS_CACHING = 'public, max-age=300';
const RETRY_AFTER_SECONDS = 5;
const MAX_LINE_LENGTH = 1000;

/**
 * 200 with a certs-only CMS (RFC 7030 sections 4.1.3 and 4.2.3; E30 E80). The caller gives exactly what belongs in:
 * for an enrollment the one issued certificate, for cacerts the whole bag, of which duplicates are dropped (E36).
 * `cacheable` is for cacerts alone: an ETag that stays while the set stays, in whatever order it is given. All else is
 * `no-store` (E91).
 */
export function certsOnlyResponse(
  certificates: Buffer[],
  form: LineForm,
  options: { cacheable: boolean },
): EstResponse {
  const set = new Map(certificates.map((der) => [der.toString('latin1'), der]));
  const body = encodeBody(certsOnly([...set.values()]), form);
  const headers: Record<string, string> = {
    'Content-Type': 'application/pkcs7-mime; smime-type=certs-only',
    'Content-Length': String(body.length),
  };
  if (options.cacheable) {
    headers['Cache-Control'] = CACERTS_CACHING;
    headers['ETag'] = `"${createHash('sha256').update(body).digest('hex')}"`;
    // The line form depends on it, and so do the bytes.
    headers['Vary'] = 'User-Agent';
  } else {
    headers['Cache-Control'] = 'no-store';
  }
  return { status: 200, headers, body };
}

/**
 * When to renew what this answer carries, as an RFC 8941 dictionary of seconds since 1970: `start=1766000000, end=1766400000`.
 * A client chooses a time in it, and renews at once when it is over.
 */
export function withRenewalWindow(response: EstResponse, { start, end }: { start: Date; end: Date }): EstResponse {
  const window = `start=${Math.floor(start.getTime() / 1000)}, end=${Math.floor(end.getTime() / 1000)}`;
  return { ...response, headers: { ...response.headers, 'Renewal-Window': window } };
}

/** 202: somebody has to approve first. The same request again, after so many seconds, finds what it began (E87). */
export function pendingResponse(retryAfterSeconds: number): EstResponse {
  const body = Buffer.from('The request waits for approval; send it again later\n', 'utf8');
  const headers = {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': String(body.length),
    'Cache-Control': 'no-store',
    'Retry-After': String(Math.max(1, Math.ceil(retryAfterSeconds))),
  };
  return { status: 202, headers, body };
}

/**
 * Any error as an EST answer (E89 E90): `text/plain`, one line, or problem+json (RFC 9457) when `accept` names it. What
 * is not an AuthorityError, and every `internal` one, becomes a 500 that tells nothing. 401 carries `WWW-Authenticate`
 * (E43), 429 and 503 `Retry-After`, an unsupported Content-Encoding `Accept-Encoding` (RFC 9110 section 12.5.3). `Allow`
 * of a 405 is the caller's to add, who knows the operation.
 */
export function errorResponse(error: unknown, accept: string | undefined): EstResponse {
  const known =
    error instanceof AuthorityError && error.kind !== 'internal'
      ? error
      : new AuthorityError('internal', 'The request failed on our side; try again later');
  const { status, title } = answerFor(known.kind);
  const detail = oneLine(known.detail);
  const asProblem = acceptNames(accept, PROBLEM_JSON);
  const body = Buffer.from(asProblem ? JSON.stringify(problem(known, status, title, detail)) : `${detail}\n`, 'utf8');
  const headers: Record<string, string> = {
    'Content-Type': asProblem ? PROBLEM_JSON : 'text/plain; charset=utf-8',
    'Content-Length': String(body.length),
    'Cache-Control': 'no-store',
  };
  if (status === 401) headers['WWW-Authenticate'] = CHALLENGE;
  if (status === 429 || status === 503) {
    headers['Retry-After'] = String(Math.max(0, Math.ceil(known.retryAfter ?? RETRY_AFTER_SECONDS)));
  }
  if (known.code === 'contentEncoding') headers['Accept-Encoding'] = 'identity';
  return { status, headers, body };
}

function answerFor(kind: ErrorKind): { status: number; title: string } {
  switch (kind) {
    case 'malformed':
      return { status: 400, title: 'Malformed request' };
    // RFC 7030 section 4.2.3 leaves the code open; a CSR that breaks a rule is as final as one that cannot be read.
    case 'invalid':
      return { status: 400, title: 'Request refused' };
    case 'unauthenticated':
      return { status: 401, title: 'Authentication required' };
    case 'forbidden':
      return { status: 403, title: 'Not permitted' };
    case 'notFound':
      return { status: 404, title: 'Not found' };
    case 'methodNotAllowed':
      return { status: 405, title: 'Method not allowed' };
    case 'conflict':
      return { status: 409, title: 'Conflict' };
    case 'tooLarge':
      return { status: 413, title: 'Request too large' };
    case 'unsupportedType':
      return { status: 415, title: 'Unsupported media type' };
    case 'limited':
      return { status: 429, title: 'Too many requests' };
    case 'internal':
      return { status: 500, title: 'Internal error' };
    case 'unavailable':
      return { status: 503, title: 'Temporarily unavailable' };
    default:
      return kind satisfies never;
  }
}

function problem(error: AuthorityError, status: number, title: string, detail: string): Record<string, unknown> {
  const member = error.member === undefined ? {} : { member: error.member };
  return { type: `urn:touchmark:problem:${error.code}`, title, status, detail, ...member };
}

function oneLine(text: string): string {
  return text
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .trim()
    .slice(0, MAX_LINE_LENGTH);
}
