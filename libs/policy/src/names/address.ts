import { canonicalHost } from './host.js';
import { refuseForm } from './refuse-form.js';

/** Kinds of `user@domain`; each has its own alphabet of the user part. */
export type AddressKind = 'sip' | 'im' | 'xmpp' | 'email';

/** What a user part may hold as it stands; whatever needs an escape, or begins something else, is refused. */
const USER: Readonly<Record<AddressKind, RegExp>> = {
  // RFC 3261 section 25.1, unreserved and user-unreserved, without ; ? / that begin parameters, headers and paths elsewhere.
  sip: /^[A-Za-z0-9\-_.!~*'()&=+$,]+$/,
  // RFC 3860 section 3.2: a dot-atom, of what a URI takes without escape.
  im: /^[A-Za-z0-9!$&'*+\-_~=]+(\.[A-Za-z0-9!$&'*+\-_~=]+)*$/,
  // RFC 7622 section 3.3: prepared, hence lower-case. Of ASCII only: no two that look alike.
  xmpp: /^[a-z0-9!#$*+\-_.=?^`{|}~()]+$/,
  // RFC 5321 dot-string without the % of old mail routes; from RFC 6531 letters, digits and marks of any script.
  email: /^[A-Za-z0-9!#$&'*+\-/=?^_`{|}~\p{L}\p{N}\p{M}]+(\.[A-Za-z0-9!#$&'*+\-/=?^_`{|}~\p{L}\p{N}\p{M}]+)*$/u,
};
/** Octets (RFC 5321 section 4.5.3.1.1). */
const USER_MAX = 64;

/**
 * `user@domain`: the domain folded, the user part as it stands, which has case (RFC 3261 section 19.1.4, RFC 5321 section
 * 2.4). In URIs, escapes of what needs none are undone, and any other is refused: so `%40` brings in no second `@`.
 * Throws `invalid` (code `nameForm`).
 */
export function canonicalAddress(kind: AddressKind, address: string, name = address): string {
  const parts = address.split('@');
  if (parts.length > 2) refuseForm(name, 'has more than one @');
  const [user = '', host] = parts;
  if (host === undefined) refuseForm(name, 'lacks its user');
  if (user === '') refuseForm(name, 'lacks its user');
  if (kind !== 'email' && user.includes(':')) refuseForm(name, 'has a password');
  const plain = kind === 'sip' || kind === 'im' ? undoEscapes(user, name) : user.normalize('NFC');
  if (!USER[kind].test(plain)) refuseForm(name, 'has a user part with characters that it must not have');
  if (Buffer.byteLength(plain) > USER_MAX) refuseForm(name, `has a user part of more than ${USER_MAX} octets`);
  return `${plain}@${canonicalHost(host, name)}`;
}

function undoEscapes(user: string, name: string): string {
  if (/%(?![0-9A-Fa-f]{2})/.test(user)) refuseForm(name, 'has an escape that is none');
  return user.replace(/%([0-9A-Fa-f]{2})/g, (escape, octet: string) => {
    const character = String.fromCharCode(Number.parseInt(octet, 16));
    return /[A-Za-z0-9\-_.!~*'()]/.test(character) ? character : refuseForm(name, `has the escape ${escape}`);
  });
}
