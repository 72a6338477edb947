import { AuthorityError, type ErrorKind } from '#kernel';

/** RFC 9457. `member` is the JSON member at fault, where one is known. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance: string;
  member?: string;
}

export interface ProblemAnswer {
  status: number;
  headers: Readonly<Record<string, string>>;
  problem: Problem;
}

export const PROBLEM_JSON = 'application/problem+json';
const RETRY_AFTER_SECONDS = 5;

/**
 * Any error as a problem document (T14-T17). `type` is stable per error, `instance` names the request. What is no
 * AuthorityError, and every `internal` one, tells nothing but that it is ours. 401 carries `WWW-Authenticate`, 429 and 503
 * `Retry-After`. `Allow` of a 405 is the route's to add.
 */
export function toProblem(error: unknown, requestId: string): ProblemAnswer {
  const known =
    error instanceof AuthorityError && error.kind !== 'internal'
      ? error
      : new AuthorityError('internal', 'the request failed on our side; try again later');
  const { status, title } = answerFor(known.kind);
  const headers: Record<string, string> = { 'content-type': PROBLEM_JSON, 'cache-control': 'no-store' };
  if (status === 401) headers['www-authenticate'] = 'Bearer realm="touchmark"';
  if (status === 429 || status === 503) {
    headers['retry-after'] = String(Math.max(0, Math.ceil(known.retryAfter ?? RETRY_AFTER_SECONDS)));
  }
  if (known.code === 'contentEncoding') headers['accept-encoding'] = 'identity';
  return {
    status,
    headers,
    problem: {
      type: `urn:touchmark:problem:${known.code}`,
      title,
      status,
      detail: known.detail,
      instance: `urn:touchmark:request:${requestId}`,
      ...(known.member === undefined ? {} : { member: known.member }),
    },
  };
}

/** Malformed: cannot be read at all. Invalid: read and understood, but a rule of form or policy says no (RFC 9110 15.5.21). */
function answerFor(kind: ErrorKind): { status: number; title: string } {
  switch (kind) {
    case 'malformed':
      return { status: 400, title: 'Malformed request' };
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
    case 'invalid':
      return { status: 422, title: 'Request refused' };
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
