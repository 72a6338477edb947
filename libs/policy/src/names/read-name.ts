import { isAuthorityError } from '#kernel';
import { canonicalGeneralName } from '#pki';
import { NAME_TYPES, type NameType } from '../profile.js';
import { canonicalAddress } from './address.js';
import { canonicalHost } from './host.js';
import { refuseForm } from './refuse-form.js';

/** A name that a certificate may carry, in its one canonical form: two names are the same exactly if both members are. */
export interface DeviceName {
  type: NameType;
  /** Without the scheme: UUID, domain, `user@domain` or address. */
  value: string;
}

/** Scheme before the value of each type, in the text form. */
const SCHEME: Readonly<Record<NameType, string>> = {
  uuid: 'urn:uuid:',
  'sip-domain': 'sip:',
  'sip-user': 'sip:',
  im: 'im:',
  pres: 'pres:',
  xmpp: 'xmpp:',
  email: 'mailto:',
  dns: 'dns:',
  ip: 'ip:',
};
const MAX = 400;
/** White space, controls, marks of byte order and of direction: nothing of it is seen, all of it can mislead. */
const UNSEEN = /[\p{Z}\p{C}]/u;

/** The text form, scheme and value: `sip:alice@example.com`. `readName` gives the name back. */
export const nameText = ({ type, value }: DeviceName): string => SCHEME[type] + value;

/**
 * Reads a name as text with its scheme, which has no case. `sip:` with a user is that user's address of record, without one
 * a domain (RFC 5922 section 7.1). Throws `invalid` (code `nameForm`) for whatever has another form.
 */
export function readName(text: string): DeviceName {
  checkText(text);
  const [, scheme = '', rest = ''] = /^([A-Za-z]+:(?:uuid:)?)(.*)$/is.exec(text) ?? [];
  const folded = scheme.toLowerCase();
  if (folded === 'sips:') refuseForm(text, 'is a sips URI, which names no identity; write sip:');
  if (folded === 'sip:') return readAs(rest.includes('@') ? 'sip-user' : 'sip-domain', rest, text);
  const type = NAME_TYPES.find((one) => SCHEME[one] === folded);
  return type === undefined
    ? refuseForm(text, `has no scheme of a name: ${[...new Set(Object.values(SCHEME))].join(' ')}`)
    : readAs(type, rest, text);
}

/** Reads the value of a name whose type is known, without the scheme. Throws as `readName`. */
export function readTypedName(type: NameType, value: string): DeviceName {
  checkText(value);
  return readAs(type, value, value);
}

function checkText(text: string): void {
  if (text.length > MAX) refuseForm(text, `is longer than ${MAX} characters`);
  if (UNSEEN.test(text)) refuseForm(text, 'has white space or characters that are not seen');
}

function readAs(type: NameType, value: string, text: string): DeviceName {
  if (value === '') refuseForm(text, 'is empty behind its scheme');
  return { type, value: canonicalValue(type, value, text) };
}

function canonicalValue(type: NameType, value: string, text: string): string {
  switch (type) {
    case 'uuid':
      return canonicalUuid(value, text);
    case 'sip-domain':
    case 'sip-user':
      refuseUriParts(value, text);
      return type === 'sip-domain' ? canonicalHost(value, text) : canonicalAddress('sip', value, text);
    case 'im':
    case 'pres':
      refuseUriParts(value, text);
      return canonicalAddress('im', value, text);
    case 'xmpp':
    case 'email':
      return canonicalAddress(type, value, text);
    case 'dns':
      return canonicalHost(value, text);
    case 'ip':
      return canonicalIp(value, text);
    default: {
      const unknown: never = type;
      return refuseForm(text, `is of no known type ${String(unknown)}`);
    }
  }
}

/** S24: what a SIP or IM URI may have besides its address makes another name of it. */
function refuseUriParts(value: string, text: string): void {
  if (value.includes(';')) refuseForm(text, 'has parameters');
  if (value.includes('?')) refuseForm(text, 'has headers');
  if (value.startsWith('//')) refuseForm(text, 'has slashes');
  if (/:\d*$/.test(value) && !value.endsWith(']')) refuseForm(text, 'has a port');
}

function canonicalUuid(value: string, text: string): string {
  const folded = value.toLowerCase();
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(folded)) refuseForm(text, 'is no UUID');
  if (/^[0-]+$/.test(folded)) refuseForm(text, 'is the nil UUID');
  if (/^[f-]+$/.test(folded)) refuseForm(text, 'is the max UUID');
  return folded;
}

/** RFC 5952 text. An IPv4 address has one form: not that of an IPv6 address which holds it. */
function canonicalIp(value: string, text: string): string {
  let canonical;
  try {
    canonical = canonicalGeneralName({ type: 'ip', value }).slice('ip:'.length);
  } catch (error) {
    if (isAuthorityError(error)) refuseForm(text, 'is no IPv4 or IPv6 address');
    throw error;
  }
  if (canonical === '0.0.0.0' || canonical === '::') refuseForm(text, 'is the address of nobody');
  if (/^::ffff:[0-9a-f]+:[0-9a-f]+$/.test(canonical)) refuseForm(text, 'is an IPv4 address; write it as one');
  return canonical;
}
