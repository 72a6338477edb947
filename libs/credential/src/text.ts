import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { decodeBase62, encodeBase62 } from './base62.js';

/** Characters of the public id: 80 bits in base 62. */
export const KEY_ID_LENGTH = 14;
const ID_BYTES = 10;
const SECRET_BYTES = 32;
const SECRET_LENGTH = 43;
const CRC_BYTES = 4;
const CRC_LENGTH = 6;
/** id, underscore, secret, checksum: what follows the prefix in every kind. */
const TAIL_LENGTH = KEY_ID_LENGTH + 1 + SECRET_LENGTH + CRC_LENGTH;

export type Environment = 'live' | 'test';
export type CredentialKind = 'apiKey' | 'operatorToken' | 'enrollmentSecret' | 'invitation';

export interface Credential {
  kind: CredentialKind;
  /** Only API keys have one. */
  environment: Environment | undefined;
  /** Public, 14 characters, base 62 of 80 random bits; the primary look-up, may stand in logs. */
  id: string;
  /** 32 random bytes; never stored, logged or audited in clear. */
  secret: Buffer;
  /** The whole string as its owner holds it. */
  text: string;
}

interface Form {
  prefix: string;
  kind: CredentialKind;
  environment: Environment | undefined;
}

const LIVE_KEY: Form = { prefix: 'tmk1_live_', kind: 'apiKey', environment: 'live' };
const TEST_KEY: Form = { prefix: 'tmk1_test_', kind: 'apiKey', environment: 'test' };
const OPERATOR_TOKEN: Form = { prefix: 'tmo1_', kind: 'operatorToken', environment: undefined };
const ENROLLMENT_SECRET: Form = { prefix: 'tme1_', kind: 'enrollmentSecret', environment: undefined };
const INVITATION: Form = { prefix: 'tmi1_', kind: 'invitation', environment: undefined };
const FORMS = [LIVE_KEY, TEST_KEY, OPERATOR_TOKEN, ENROLLMENT_SECRET, INVITATION];

/** `tmk1_live_<id14>_<secret43><crc6>`: 74 characters of `[A-Za-z0-9_]`, safe in a URL and in one double-click. */
export function mintApiKey(environment: Environment): Credential {
  return mint(environment === 'live' ? LIVE_KEY : TEST_KEY);
}

/** `tmo1_<id14>_<secret43><crc6>`: 69 characters. */
export function mintOperatorToken(): Credential {
  return mint(OPERATOR_TOKEN);
}

/** `tme1_<id14>_<secret43><crc6>`: 69 characters; the one-time password of a device's first enrollment. */
export function mintEnrollmentSecret(): Credential {
  return mint(ENROLLMENT_SECRET);
}

/** `tmi1_<id14>_<secret43><crc6>`: 69 characters; lets a person in once, who then makes a passkey. */
export function mintInvitation(): Credential {
  return mint(INVITATION);
}

function mint(form: Form): Credential {
  const id = encodeBase62(randomBytes(ID_BYTES), KEY_ID_LENGTH);
  const secret = randomBytes(SECRET_BYTES);
  const body = `${form.prefix}${id}_${encodeBase62(secret, SECRET_LENGTH)}`;
  return { kind: form.kind, environment: form.environment, id, secret, text: body + checksum(body) };
}

/**
 * Reads any of the forms. One pair of surrounding double quotes is dropped, since the sample URL of RFC 9248
 * quotes its values. Checked: length, alphabet, that id and secret lie within 80 and 256 bits (each value has one
 * spelling only), and the checksum, which catches typos and serves scanners but proves nothing. Undefined otherwise.
 */
export function parseCredential(text: string): Credential | undefined {
  const bare = text.length >= 2 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
  const form = FORMS.find(({ prefix }) => bare.length === prefix.length + TAIL_LENGTH && bare.startsWith(prefix));
  if (form === undefined) return undefined;
  const idEnd = form.prefix.length + KEY_ID_LENGTH;
  const bodyEnd = bare.length - CRC_LENGTH;
  const id = bare.slice(form.prefix.length, idEnd);
  if (bare[idEnd] !== '_' || decodeBase62(id, ID_BYTES) === undefined) return undefined;
  const secret = decodeBase62(bare.slice(idEnd + 1, bodyEnd), SECRET_BYTES);
  if (secret === undefined || checksum(bare.slice(0, bodyEnd)) !== bare.slice(bodyEnd)) return undefined;
  return { kind: form.kind, environment: form.environment, id, secret, text: bare };
}

/** CRC-32 (ISO-HDLC, as in zlib) of everything before it, as 6 base62 characters. */
function checksum(body: string): string {
  const crc = Buffer.alloc(CRC_BYTES);
  crc.writeUInt32BE(crc32(body));
  return encodeBase62(crc, CRC_LENGTH);
}
