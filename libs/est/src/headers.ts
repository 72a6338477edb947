import { AuthorityError } from '#kernel';
import { decodeBase64 } from './base64.js';
import { digestChallenge } from './digest.js';

/** For 401 answers (RFC 7617 section 2.1, E44). */
export const CHALLENGE = 'Basic realm="Touchmark EST", charset="UTF-8"';
const BEARER_CHALLENGE = 'Bearer realm="Touchmark EST"';

/** Of a 401, a header line each (RFC 9110 section 11.6.1): at least one, whatever is taken, what is preferred first. */
export function challenges(taken: {
  digest: { nonce: string; stale: boolean } | undefined;
  basic: boolean;
  bearer: boolean;
}): string[] {
  const lines = [
    ...(taken.digest ? [digestChallenge(taken.digest)] : []),
    ...(taken.basic ? [CHALLENGE] : []),
    ...(taken.bearer ? [BEARER_CHALLENGE] : []),
  ];
  return lines.length === 0 ? [CHALLENGE] : lines;
}

const MAX_AUTHORIZATION_LENGTH = 4096;
/** RFC 9110 section 11.4: scheme, spaces, credentials. */
const AUTHORIZATION = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) +(\S.*)$/;

/**
 * Media types are compared without case and without parameters (E25); a missing or other one is `unsupportedType`, with
 * the expected one in the text (EX04).
 */
export function checkContentType(header: string | undefined, expected: string): void {
  const given = mediaType(header ?? '');
  if (given === expected) return;
  const seen = given === '' ? 'no Content-Type was sent' : 'another Content-Type was sent';
  throw new AuthorityError('unsupportedType', `The body must have Content-Type ${expected}; ${seen}`);
}

/** `unsupportedType` with code `contentEncoding` for anything but `identity` (EX28): a body is never unpacked. */
export function checkContentEncoding(header: string | undefined): void {
  const codings = (header ?? '').split(',').map((coding) => coding.trim().toLowerCase());
  if (codings.every((coding) => coding === '' || coding === 'identity')) return;
  throw new AuthorityError('unsupportedType', 'Content-Encoding is not supported; send the body uncompressed', {
    code: 'contentEncoding',
  });
}

/**
 * User and password of HTTP Basic (RFC 7617, UTF-8). Undefined when the header is absent or names another scheme, which
 * a 401 with `CHALLENGE` answers. `malformed` for a header that cannot be read (EX13). An empty user with a password is
 * a valid form (E45). The password may hold colons, the user may not.
 */
export function readBasic(header: string | undefined): { user: string; password: string } | undefined {
  if (header === undefined) return undefined;
  const match = header.length > MAX_AUTHORIZATION_LENGTH ? null : AUTHORIZATION.exec(header.trim());
  if (match === null) throw malformed('it is not a scheme followed by credentials');
  if (match[1]?.toLowerCase() !== 'basic') return undefined;
  const bytes = decodeBase64(Buffer.from(match[2] ?? '', 'utf8'), false);
  if (typeof bytes === 'string') throw malformed('the credentials are not base64');
  const text = decodeUtf8(bytes);
  if (text === undefined || /\p{Cc}/u.test(text)) {
    throw malformed('user and password must be UTF-8 without control characters');
  }
  const colon = text.indexOf(':');
  if (colon === -1) throw malformed('user and password must be separated by a colon');
  return { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

/**
 * The token of `Bearer` (RFC 6750 section 2.1). Undefined when the header is absent or names another scheme; `malformed` for
 * one that cannot be read (EX13).
 */
export function readBearer(header: string | undefined): string | undefined {
  const match = header === undefined ? null : AUTHORIZATION.exec(header.trim());
  if (match?.[1]?.toLowerCase() !== 'bearer') return undefined;
  if (header!.length > MAX_AUTHORIZATION_LENGTH || !/^[A-Za-z0-9._~+/-]+=*$/.test(match[2]!)) {
    throw malformed('the token of Bearer has other characters than a token has, or too many');
  }
  return match[2];
}

/** True when `Accept` names this very type with a weight above zero; a wildcard does not name it (E90). */
export function acceptNames(accept: string | undefined, type: string): boolean {
  return (accept ?? '')
    .split(',')
    .some((range) => mediaType(range) === type && !/;\s*q=0(?:\.0{0,3})?\s*(?:;|$)/i.test(range));
}

function mediaType(header: string): string {
  return (header.split(';', 1)[0] ?? '').trim().toLowerCase();
}

function decodeUtf8(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function malformed(reason: string): AuthorityError {
  return new AuthorityError('malformed', `The Authorization header cannot be read: ${reason}`);
}
