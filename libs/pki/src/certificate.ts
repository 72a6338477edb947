import { hash } from 'node:crypto';
import {
  readAuthorityInfoAccess,
  readAuthorityKeyId,
  readBasicConstraints,
  readDistributionPointUris,
  readExtendedKeyUsage,
  readKeyUsage,
  type KeyUsage,
} from './certificate-extensions.js';
import { DEFAULT_LIMITS, DerReader } from './der/read.js';
import { contextConstructedTag, contextTag } from './der/tags.js';
import { type Extension, readExtensions } from './extension.js';
import { type GeneralName, readGeneralNames } from './general-name.js';
import { type Name, readName } from './name.js';
import { OID } from './oids.js';
import { parsePublicKey, type SubjectPublicKey } from './public-key.js';

/** A certificate as read. Buffers are views of `der`: nobody may write into them. Absent extensions are undefined or empty. */
export interface Certificate {
  der: Buffer;
  /** The TBSCertificate element, which the signature covers. */
  tbs: Buffer;
  /** 1, 2 or 3. */
  version: number;
  /** Lower-case hex of the INTEGER's content octets, two digits each, leading 00 included. */
  serial: string;
  issuerDer: Buffer;
  subjectDer: Buffer;
  issuer: Name;
  subject: Name;
  notBefore: Date;
  notAfter: Date;
  publicKey: SubjectPublicKey;
  signatureAlgorithmDer: Buffer;
  signature: Buffer;
  /** By OID, in the order of the certificate. */
  extensions: Map<string, Extension>;
  san: GeneralName[];
  basicConstraints: { ca: boolean; pathLen: number | undefined } | undefined;
  keyUsage: KeyUsage[] | undefined;
  /** OIDs. */
  eku: string[] | undefined;
  subjectKeyId: Buffer | undefined;
  authorityKeyId: Buffer | undefined;
  crlUris: string[];
  ocspUris: string[];
  caIssuerUris: string[];
  /** RFC 9608 section 2: nothing will ever tell that this certificate is revoked. */
  noRevAvail: boolean;
  /** SHA-256 of `der`. */
  sha256: Buffer;
}

/** A serial of another authority may be odd (negative, long); past this it is an attack on whoever stores it. */
const MAX_SERIAL_OCTETS = 64;

/**
 * Reads a certificate (RFC 5280 4.1), ours or another authority's. Public keys of unknown algorithms, unknown extensions and odd serials
 * are legal here; the extensions that the result names must be well formed. The signature is not verified. Throws AuthorityError
 * 'malformed', 'tooLarge' above 64 KiB.
 */
export function readCertificate(der: Buffer): Certificate {
  const outer = DerReader.openSequence(der, 'certificate', DEFAULT_LIMITS);
  const tbs = outer.peekElement();
  const body = outer.sequence();
  const signatureAlgorithmDer = outer.element();
  const { unusedBits, bytes } = outer.bitString();
  outer.finish();
  // A signature that does not end on an octet is none: readable, and sure not to verify.
  const signature = unusedBits === 0 ? bytes : Buffer.alloc(0);
  return {
    der,
    tbs,
    ...readBody(body, signatureAlgorithmDer),
    signatureAlgorithmDer,
    signature,
    sha256: hash('sha256', der, 'buffer'),
  };
}

function readBody(body: DerReader, outerAlgorithm: Buffer) {
  const version = readVersion(body);
  const serial = body.integer();
  if (serial.length > MAX_SERIAL_OCTETS) body.fail('has an absurdly long serial number');
  if (!body.element().equals(outerAlgorithm)) body.fail('names two different signature algorithms');
  const issuerDer = body.element();
  const validity = body.sequence();
  const [notBefore, notAfter] = [validity.time(), validity.time()];
  validity.finish();
  const subjectDer = body.element();
  const publicKey = parsePublicKey(body.element());
  const extensions = readTail(body, version);
  return {
    version,
    serial: serial.toString('hex'),
    issuerDer,
    subjectDer,
    issuer: readName(issuerDer),
    subject: readName(subjectDer),
    notBefore,
    notAfter,
    publicKey,
    extensions,
    ...readKnownExtensions(extensions),
  };
}

function readVersion(body: DerReader): number {
  const tagged = body.optionalContext(0);
  if (tagged === undefined) return 1;
  const version = tagged.smallInteger() + 1;
  tagged.finish();
  if (version !== 2 && version !== 3) body.fail('has a version that does not exist');
  return version;
}

/** issuerUniqueID, subjectUniqueID (never ours, still legal) and extensions. */
function readTail(body: DerReader, version: number): Map<string, Extension> {
  for (const number of [1, 2]) if (body.peekTag() === contextTag(number)) body.bitString(contextTag(number));
  const extensions = new Map<string, Extension>();
  if (body.peekTag() === contextConstructedTag(3)) {
    if (version !== 3) body.fail('has extensions without being of version 3');
    const tagged = body.enter(contextConstructedTag(3));
    for (const extension of readExtensions(tagged.sequence(), false)) extensions.set(extension.oid, extension);
    tagged.finish();
  }
  body.finish();
  return extensions;
}

function readKnownExtensions(extensions: Map<string, Extension>) {
  const read = <T>(oid: string, reader: (value: Buffer) => T): T | undefined => {
    const extension = extensions.get(oid);
    return extension === undefined ? undefined : reader(extension.value);
  };
  const access = read(OID.authorityInfoAccess, readAuthorityInfoAccess);
  return {
    san: read(OID.subjectAltName, readSubjectAltName) ?? [],
    basicConstraints: read(OID.basicConstraints, readBasicConstraints),
    keyUsage: read(OID.keyUsage, readKeyUsage),
    eku: read(OID.extKeyUsage, readExtendedKeyUsage),
    subjectKeyId: read(OID.subjectKeyIdentifier, readSubjectKeyId),
    authorityKeyId: read(OID.authorityKeyIdentifier, readAuthorityKeyId),
    crlUris: read(OID.cRLDistributionPoints, readDistributionPointUris) ?? [],
    ocspUris: access?.ocsp ?? [],
    caIssuerUris: access?.caIssuers ?? [],
    noRevAvail: extensions.has(OID.noRevAvail),
  };
}

/** GeneralNames of a subjectAltName value; an empty SEQUENCE is malformed. */
export function readSubjectAltName(value: Buffer): GeneralName[] {
  return readGeneralNames(DerReader.openSequence(value, 'subjectAltName'));
}

function readSubjectKeyId(value: Buffer): Buffer {
  const outer = DerReader.open(value, 'subjectKeyIdentifier');
  const keyId = outer.octetString();
  outer.finish();
  return keyId;
}
