import { AuthorityError } from '#kernel';
import { DerReader, type DerLimits } from './der/read.js';
import { TAG } from './der/tags.js';
import { der, isIa5 } from './der/write.js';
import { isPrintable } from './der/text.js';
import { OID } from './oids.js';

/**
 * One AttributeTypeAndValue: `type` is a dotted OID, `value` its text. A value that is no character string (legal, and never ours)
 * reads as `#` and the hexadecimal of its DER; such a name cannot be encoded again.
 */
export interface NameAttribute {
  type: string;
  value: string;
}

/** RDNs in encoding order, each with its attributes in encoding order; the empty array is the empty name. */
export type Name = NameAttribute[][];

/** Names are small: a hundred attributes are more than any directory ever had. */
const NAME_LIMITS: DerLimits = { maxBytes: 32_768, maxDepth: 6, maxNodes: 512 };

/** RFC 4514 section 3 table, and the descriptors registered by RFC 4519 that occur in certificates. */
const SHORT_NAMES: ReadonlyMap<string, string> = new Map([
  [OID.commonName, 'CN'],
  [OID.localityName, 'L'],
  [OID.stateOrProvinceName, 'ST'],
  [OID.organizationName, 'O'],
  [OID.organizationalUnitName, 'OU'],
  [OID.countryName, 'C'],
  [OID.streetAddress, 'STREET'],
  [OID.domainComponent, 'DC'],
  [OID.userId, 'UID'],
  [OID.serialNumber, 'serialNumber'],
  [OID.surname, 'sn'],
  [OID.givenName, 'givenName'],
  [OID.title, 'title'],
  [OID.dnQualifier, 'dnQualifier'],
]);

const PRINTABLE_ONLY: ReadonlySet<string> = new Set([OID.countryName, OID.serialNumber, OID.dnQualifier]);
const IA5_ONLY: ReadonlySet<string> = new Set([OID.domainComponent, OID.emailAddress]);

/**
 * DER of a name (X10): UTF8String, except the types that X.520 fixes to PrintableString (countryName, serialNumber, dnQualifier) and
 * RFC 4519 to IA5String (domainComponent, emailAddress). Throws AuthorityError 'invalid' for empty values or ones that do not fit.
 */
export function encodeName(name: Name): Buffer {
  return der.sequence(
    ...name.map((rdn) => {
      if (rdn.length === 0) throw new AuthorityError('invalid', 'a relative distinguished name is empty');
      return der.setOf(...rdn.map(({ type, value }) => der.sequence(der.oid(type), encodeValue(type, value))));
    }),
  );
}

function encodeValue(type: string, value: string): Buffer {
  const fits = PRINTABLE_ONLY.has(type) ? isPrintable(value) : IA5_ONLY.has(type) ? isIa5(value) : value.isWellFormed();
  if (value === '' || !fits) {
    throw new AuthorityError(
      'invalid',
      `the value of name attribute ${SHORT_NAMES.get(type) ?? type} is empty or has characters it may not`,
    );
  }
  if (PRINTABLE_ONLY.has(type)) return der.printableString(value);
  return IA5_ONLY.has(type) ? der.ia5String(value) : der.utf8String(value);
}

/** Reads exactly one Name (RFC 5280 4.1.2.4). Throws AuthorityError 'malformed'. */
export function readName(nameDer: Buffer): Name {
  const outer = DerReader.open(nameDer, 'name', NAME_LIMITS);
  const name = readRdnSequence(outer);
  outer.finish();
  return name;
}

/** Reads the Name at the cursor of another structure. */
export function readRdnSequence(reader: DerReader): Name {
  const rdns = reader.sequence();
  const name: Name = [];
  while (!rdns.done) {
    const rdn = rdns.set();
    const attributes: NameAttribute[] = [];
    while (!rdn.done) {
      const attribute = rdn.sequence();
      attributes.push({ type: attribute.oid(), value: readValue(attribute) });
      attribute.finish();
    }
    if (attributes.length === 0) rdns.fail('has an empty relative distinguished name');
    name.push(attributes);
  }
  return name;
}

const STRING_TAGS: ReadonlySet<number> = new Set([
  TAG.utf8String,
  TAG.printableString,
  TAG.ia5String,
  TAG.teletexString,
  TAG.bmpString,
  TAG.universalString,
  TAG.numericString,
  TAG.visibleString,
]);

function readValue(attribute: DerReader): string {
  return STRING_TAGS.has(attribute.peekTag()) ? attribute.text() : `#${attribute.element().toString('hex')}`;
}

/** RFC 4514 text: last RDN first, multi-valued RDNs joined by `+`, types without a registered short name as OID=#hex. */
export function nameToString(name: Name): string {
  return [...name]
    .reverse()
    .map((rdn) => rdn.map(attributeToString).join('+'))
    .join(',');
}

function attributeToString({ type, value }: NameAttribute): string {
  const short = SHORT_NAMES.get(type);
  if (short !== undefined) return `${short}=${escapeValue(value)}`;
  return `${type}=${/^#([0-9a-f]{2})+$/.test(value) ? value : `#${der.utf8String(value).toString('hex')}`}`;
}

const hexPairs = (text: string): string => Buffer.from(text, 'utf8').toString('hex').replace(/../g, '\\$&');

/** RFC 4514 2.4; other control characters go out as hex pairs too, so that a log line stays one line. */
function escapeValue(value: string): string {
  return value
    .replace(/["+,;<>\\]/g, (c) => `\\${c}`)
    .replace(/^[ #]/, (c) => `\\${c}`)
    .replace(/ $/, '\\ ')
    .replace(/\p{Cc}/gu, hexPairs);
}

/**
 * RFC 5280 7.1: two names match if their RDNs match in order, and RDNs as sets; values compare without case, with inner white space
 * folded and outer removed, whatever string type carries them. Throws AuthorityError 'malformed' if one is no Name.
 */
export function namesEqual(aDer: Buffer, bDer: Buffer): boolean {
  return aDer.equals(bDer) || canonicalName(aDer) === canonicalName(bDer);
}

/** One string per name such that equal strings mean equal names in the sense of `namesEqual`; for maps. */
export function canonicalName(nameDer: Buffer): string {
  return JSON.stringify(canonicalRdns(readName(nameDer)));
}

/** The canonical form of each RDN in order: a name is inside a directoryName subtree if its list starts with that of the base. */
export function canonicalRdns(name: Name): string[] {
  // JSON quotes the values: no text in one can pass for two attributes or two RDNs.
  return name.map((rdn) => JSON.stringify(rdn.map(({ type, value }) => `${type}=${foldValue(value)}`).sort()));
}

/** The string preparation of RFC 4518 as far as RFC 5280 7.1 asks: NFKC, case folding, insignificant space. */
function foldValue(value: string): string {
  const ascii = isIa5(value);
  const folded = ascii ? value.toLowerCase() : value.normalize('NFKC').toLowerCase().normalize('NFKC');
  return folded.replace(/\s+/g, ' ').replace(/^ | $/g, '');
}
