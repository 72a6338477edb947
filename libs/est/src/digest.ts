import { hash } from 'node:crypto';
import { AuthorityError } from '#kernel';

/** One protection space for the whole of EST: also what is hashed with a secret, so that it cannot change. */
export const DIGEST_REALM = 'Touchmark EST';

/** What the response to a challenge says (RFC 7616 section 3.4), in the only form that is asked for here. */
export interface DigestCredentials {
  user: string;
  nonce: string;
  uri: string;
  /** 32 bytes. */
  response: Buffer;
  /** 8 hexadecimal digits, not all 0. */
  nc: string;
  cnonce: string;
}

const MAX_LENGTH = 4096;
const MAX_PARAMETERS = 16;
const MAX_VALUE_LENGTH = 1024;
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const SCHEME = /^digest +/i;
/** RFC 9110 section 11.2, without quoted-pair: RFC 7616 does not say which of its octets are hashed. */
const PARAMETER = new RegExp(`(${TOKEN})[ \\t]*=[ \\t]*(?:"([\\t \\x21\\x23-\\x5b\\x5d-\\x7e]*)"|(${TOKEN}))`, 'y');
const SEPARATOR = /[ \t]*(?:,[ \t]*)+/y;

/**
 * Of a 401. RFC 7616 section 3.7: what is preferred stands first, and SHA-256 is all that is taken. `stale`: the last nonce
 * was ours and is old, the client may try again without asking anybody.
 */
export function digestChallenge({ nonce, stale }: { nonce: string; stale: boolean }): string {
  const old = stale ? ', stale=true' : '';
  return `Digest realm="${DIGEST_REALM}", qop="auth", algorithm=SHA-256, nonce="${nonce}"${old}, charset=UTF-8`;
}

/**
 * Credentials of HTTP Digest. Undefined when the header is absent or names another scheme; `malformed` for what cannot be
 * read and for what was never asked for: another realm, algorithm or qop, a hashed user name (EX13).
 */
export function readDigest(header: string | undefined): DigestCredentials | undefined {
  const text = header?.trim();
  const scheme = text === undefined ? null : SCHEME.exec(text);
  if (text === undefined || scheme === null) return undefined;
  if (text.length > MAX_LENGTH) throw malformed('it is too long');
  const given = readParameters(text, scheme[0].length);
  const need = (name: string, form: RegExp): string => {
    const value = given.get(name);
    if (value === undefined || !form.test(value)) throw malformed(`${name} is missing, or not of its form`);
    return value;
  };
  if (need('realm', /^/) !== DIGEST_REALM) throw malformed('realm is not the one of the challenge');
  if (need('algorithm', /^/).toLowerCase() !== 'sha-256') throw malformed('algorithm must be SHA-256');
  if (need('qop', /^/).toLowerCase() !== 'auth') throw malformed('qop must be auth');
  if ((given.get('userhash') ?? 'false').toLowerCase() !== 'false') throw malformed('user names are not hashed here');
  return {
    user: need('username', /^/),
    nonce: need('nonce', /^.{1,256}$/),
    uri: need('uri', /^./),
    response: Buffer.from(need('response', /^[0-9a-f]{64}$/), 'hex'),
    nc: need('nc', /^(?!0{8}$)[0-9a-f]{8}$/),
    cnonce: need('cnonce', /^.{1,256}$/),
  };
}

/** By name in small letters: each once, in one pass. */
function readParameters(text: string, start: number): Map<string, string> {
  const given = new Map<string, string>();
  for (let at = start; at < text.length;) {
    PARAMETER.lastIndex = at;
    const [whole, name = '', quoted, token] = PARAMETER.exec(text) ?? [];
    if (whole === undefined) throw malformed('it is not a list of parameters');
    const value = quoted ?? token ?? '';
    const key = name.toLowerCase();
    if (given.has(key)) throw malformed('a parameter stands twice');
    if (value.length > MAX_VALUE_LENGTH) throw malformed('a parameter is too long');
    if (given.size === MAX_PARAMETERS) throw malformed('it has too many parameters');
    given.set(key, value);
    at += whole.length;
    if (at === text.length) break;
    SEPARATOR.lastIndex = at;
    const separator = SEPARATOR.exec(text)?.[0];
    if (separator === undefined) throw malformed('its parameters are not separated by commas');
    at += separator.length;
  }
  return given;
}

/** MD5 is not taken from anybody; it is here for the examples of the RFC. */
type DigestHash = 'sha256' | 'md5';

/** H(A1) of RFC 7616 section 3.4.2: who has it can answer every challenge of this realm. */
export function digestKey(
  { user, realm, password }: { user: string; realm: string; password: string },
  algorithm: DigestHash = 'sha256',
): Buffer {
  return hash(algorithm, `${user}:${realm}:${password}`, 'buffer');
}

/** The response that fits, for qop=auth (RFC 7616 section 3.4.1). `key`: H(A1). */
export function digestResponse(
  key: Buffer,
  { method, uri, nonce, nc, cnonce }: { method: string } & Pick<DigestCredentials, 'uri' | 'nonce' | 'nc' | 'cnonce'>,
  algorithm: DigestHash = 'sha256',
): Buffer {
  const asked = hash(algorithm, `${method}:${uri}`, 'hex');
  return hash(algorithm, `${key.toString('hex')}:${nonce}:${nc}:${cnonce}:auth:${asked}`, 'buffer');
}

function malformed(reason: string): AuthorityError {
  return new AuthorityError('malformed', `The Authorization header cannot be read: of Digest, ${reason}`);
}
