import { isIP } from 'node:net';
import { domainToASCII, domainToUnicode } from 'node:url';
import { DerReader } from './der/read.js';
import { TAG } from './der/tags.js';
import { isIa5 } from './der/write.js';
import { canonicalGeneralName, type GeneralName } from './general-name.js';
import type { LintRule } from './lint.js';
import { encodeName, type NameAttribute, readName } from './name.js';
import { OID } from './oids.js';

/** RFC 5280 appendix A.1 upper bounds, in characters; countryName has exactly two. */
const UPPER_BOUNDS: ReadonlyMap<string, number> = new Map([
  [OID.commonName, 64],
  [OID.organizationName, 64],
  [OID.organizationalUnitName, 64],
  [OID.serialNumber, 64],
  [OID.title, 64],
  [OID.localityName, 128],
  [OID.stateOrProvinceName, 128],
]);

const CONTROL = /\p{Cc}/u;

const isBounded = ({ type, value }: NameAttribute): boolean =>
  type === OID.countryName ? /^[A-Z]{2}$/.test(value) : [...value].length <= (UPPER_BOUNDS.get(type) ?? 255);

/** Preferred name syntax (RFC 1034 3.5 with RFC 1123 2.1). */
export function isHostName(host: string): boolean {
  const labels = host.split('.');
  return (
    host.length <= 253 &&
    labels.every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(label) && isALabel(label))
  );
}

/** X20: what looks like an A-label decodes, and encodes to itself again; no other label has hyphens there (RFC 5890 2.3.1). */
function isALabel(label: string): boolean {
  const lower = label.toLowerCase();
  if (!lower.startsWith('xn--')) return lower.slice(2, 4) !== '--';
  const unicode = domainToUnicode(lower);
  return unicode !== lower && domainToASCII(unicode) === lower;
}

/** The labels of every host name that a certificate names, wherever it stands. */
function hostLabels(san: GeneralName[]): string[] {
  const hosts = san.flatMap((name) => {
    if (name.type === 'dns') return name.value;
    if (name.type === 'email') return name.value.slice(name.value.lastIndexOf('@') + 1);
    return name.type === 'uri' ? (/^[^:]+:\/\/(?:[^@/?#]*@)?([^:/?#[\]]*)/.exec(name.value)?.[1] ?? '') : '';
  });
  return hosts.flatMap((host) => host.split('.'));
}

const isDnsName = (value: string): boolean => isHostName(value.startsWith('*.') ? value.slice(2) : value);

function isMailbox(value: string): boolean {
  const at = value.lastIndexOf('@');
  return (
    /^[\w!#$%&'*+\-/=?^`{|}~]+(\.[\w!#$%&'*+\-/=?^`{|}~]+)*$/.test(value.slice(0, at)) &&
    isHostName(value.slice(at + 1))
  );
}

/** RFC 5280 4.2.1.6: absolute, with a scheme and something behind it; an authority has a host that is a name or an address. */
function isAbsoluteUri(value: string): boolean {
  if (!/^[a-z][a-z0-9+.-]*:[\w\-.~:/?#[\]@!$&'()*+,;=%]+$/i.test(value)) return false;
  const authority = /^[^:]+:\/\/([^/?#]*)/.exec(value)?.[1];
  return authority === undefined || isAuthority(authority);
}

function isAuthority(authority: string): boolean {
  const [, host] = /^(?:[^@]*@)?(\[[^\]]*\]|[^:]*)(?::\d+)?$/.exec(authority) ?? [];
  if (host === undefined) return false;
  return host.startsWith('[') ? isIP(host.slice(1, -1)) === 6 : isHostName(host);
}

/** RFC 9562 section 4 and S10: lower-case, not nil. */
function isLowerUuidUrn(value: string): boolean {
  if (!/^urn:uuid:/i.test(value)) return true;
  return /^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value) && !/^urn:uuid:[0-]+$/.test(value);
}

/** RFC 9598 section 3: a SmtpUTF8Mailbox is UTF8String with a non-ASCII local part, without a byte order mark. */
function isSmtpUtf8Mailbox(value: Buffer): boolean {
  const reader = DerReader.open(value, 'SmtpUTF8Mailbox');
  if (reader.peekTag() !== TAG.utf8String) return false;
  const text = reader.text();
  const at = text.lastIndexOf('@');
  const host = text.slice(at + 1);
  if (at <= 0 || text.startsWith('\ufeff') || isIa5(text.slice(0, at))) return false;
  return isHostName(host) && host === host.toLowerCase();
}

const of = <T extends GeneralName['type']>(san: GeneralName[], type: T) =>
  san.filter((name): name is Extract<GeneralName, { type: T }> => name.type === type);

/** Rules about subject, issuer and subjectAltName. */
export const NAME_RULES: readonly LintRule[] = [
  {
    id: 'X09.issuer',
    severity: 'error',
    text: "the issuer name is the CA's subject, byte for byte, and not empty",
    holds: (certificate, rules) =>
      certificate.issuer.length > 0 &&
      certificate.issuerDer.equals(rules.issuer === undefined ? certificate.subjectDer : rules.issuer.subjectDer),
  },
  {
    id: 'X09.caSubject',
    severity: 'error',
    text: 'the subject of a CA is not empty',
    holds: ({ subject }, rules) => !rules.ca || subject.length > 0,
  },
  {
    id: 'X10.strings',
    severity: 'error',
    text: 'subject values are UTF8String or the one type that their attribute has, in DER order',
    holds: ({ subjectDer }) => encodeName(readName(subjectDer)).equals(subjectDer),
  },
  {
    id: 'X10.email',
    severity: 'warning',
    text: 'there is no emailAddress in the subject',
    holds: ({ subject }) => !subject.flat().some(({ type }) => type === OID.emailAddress),
  },
  {
    id: 'X10.values',
    severity: 'error',
    text: 'subject values are not empty, have no control characters and no space at an end',
    holds: ({ subject }) =>
      subject.flat().every(({ value }) => value !== '' && value === value.trim() && !CONTROL.test(value)),
  },
  {
    id: 'X10.bounds',
    severity: 'error',
    text: 'subject values keep the upper bounds of RFC 5280 appendix A',
    holds: ({ subject }) => subject.flat().every(isBounded),
  },
  {
    id: 'X11.present',
    severity: 'error',
    text: 'an empty subject has a subjectAltName',
    holds: ({ subject, san }) => subject.length > 0 || san.length > 0,
  },
  {
    id: 'X11.critical',
    severity: 'error',
    text: 'the subjectAltName is critical exactly if the subject is empty',
    holds: ({ subject, extensions }) => {
      const san = extensions.get(OID.subjectAltName);
      return san === undefined || san.critical === (subject.length === 0);
    },
  },
  {
    id: 'X18.profile',
    severity: 'notice',
    text: 'there is a subjectAltName exactly where the profile wants one',
    holds: ({ san }, rules) => rules.san === 'optional' || (rules.san === 'required') === san.length > 0,
  },
  {
    id: 'X18.dns',
    severity: 'error',
    text: 'every dNSName is in preferred name syntax',
    holds: ({ san }) => of(san, 'dns').every(({ value }) => isDnsName(value)),
  },
  {
    id: 'X18.repeated',
    severity: 'notice',
    text: 'no subjectAltName stands twice',
    holds: ({ san }) => new Set(san.map(canonicalGeneralName)).size === san.length,
  },
  {
    id: 'X19.uri',
    severity: 'error',
    text: 'every URI is absolute, and its authority has a host',
    holds: ({ san }) => of(san, 'uri').every(({ value }) => isAbsoluteUri(value)),
  },
  {
    id: 'S10.uuid',
    severity: 'notice',
    text: 'every urn:uuid is a lower-case UUID that is not nil',
    holds: ({ san }) => of(san, 'uri').every(({ value }) => isLowerUuidUrn(value)),
  },
  {
    id: 'X20.aLabel',
    severity: 'error',
    text: 'every internationalized label of a host is an A-label of IDNA2008, and no other one has hyphens in its third and fourth place',
    holds: ({ san }) => hostLabels(san).every(isALabel),
  },
  {
    id: 'X21.mail',
    severity: 'error',
    text: 'every rfc822Name is an ASCII mailbox',
    holds: ({ san }) => of(san, 'email').every(({ value }) => isMailbox(value)),
  },
  {
    id: 'X21.utf8Mail',
    severity: 'error',
    text: 'every SmtpUTF8Mailbox is as RFC 9598 section 3 has it',
    holds: ({ san }) =>
      of(san, 'other').every(({ oid, value }) => oid !== OID.smtpUtf8Mailbox || isSmtpUtf8Mailbox(value)),
  },
];
