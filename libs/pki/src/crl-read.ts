import type { CrlEntry } from './crl.js';
import { crlReasonOf } from './crl.js';
import { DerReader } from './der/read.js';
import { TAG } from './der/tags.js';
import { der } from './der/write.js';
import type { IssuingDistributionPoint } from './distribution-point.js';
import { readAuthorityKeyId } from './certificate-extensions.js';
import { readIssuingDistributionPoint } from './distribution-point.js';
import type { Extension } from './extension.js';
import { readExtensions } from './extension.js';
import { readGeneralNames } from './general-name.js';
import { namesEqual } from './name.js';
import { OID } from './oids.js';
import type { SubjectPublicKey } from './public-key.js';
import { verifyBytes } from './signature.js';

export interface RevokedCertificate extends CrlEntry {
  /** Issuer of the revoked certificate: the CRL's own but in indirect CRLs (RFC 5280 section 5.3.3). */
  issuerDer: Buffer;
}

/** A CertificateList of RFC 5280 section 5.1. Buffers are views of the input. */
export interface CertificateList {
  tbs: Buffer;
  issuerDer: Buffer;
  number: bigint | undefined;
  thisUpdate: Date;
  nextUpdate: Date | undefined;
  authorityKeyId: Buffer | undefined;
  /** First URI of the issuing distribution point. */
  distributionPoint: string | undefined;
  issuingDistributionPoint: IssuingDistributionPoint | undefined;
  /** Number of the complete CRL that this delta starts from; undefined: a complete CRL. */
  deltaBase: bigint | undefined;
  signatureAlgorithmDer: Buffer;
  signature: Buffer;
  extensions: Map<string, Extension>;
  entryCount: number;
  /** Why nothing may be concluded from this CRL (a critical extension that is not known here), if so. */
  unusable: string | undefined;
  /** The entries in their order, read anew at each call. */
  entries(): Iterable<RevokedCertificate>;
  /** The entry of one certificate; `serial` as lower-case hex, `issuerDer` its issuer (the CRL's own if left out). */
  find(serial: string, issuerDer?: Buffer): RevokedCertificate | undefined;
}

const WHAT = 'CRL';
const LIMITS = { maxBytes: 128 * 1024 * 1024, maxDepth: 24, maxNodes: 50_000_000 };

const KNOWN_EXTENSIONS: ReadonlySet<string> = new Set([
  OID.authorityKeyIdentifier,
  OID.issuerAltName,
  OID.cRLNumber,
  OID.deltaCRLIndicator,
  OID.issuingDistributionPoint,
  OID.freshestCRL,
]);

/**
 * Reads a CRL of at most 128 MiB and checks the form of every entry; entries become objects only when asked for. Signature
 * and times are not checked. Throws `malformed`, or `tooLarge`.
 */
export function readCrl(bytes: Buffer): CertificateList {
  const outer = DerReader.openSequence(bytes, WHAT, LIMITS);
  const tbs = outer.peekElement();
  const fields = outer.sequence();
  const signatureAlgorithmDer = outer.peekElement();
  outer.sequence();
  const { unusedBits, bytes: signatureBytes } = outer.bitString();
  // A signature that does not end on an octet is none: readable, and sure not to verify.
  const signature = unusedBits === 0 ? signatureBytes : Buffer.alloc(0);
  outer.finish();

  const version2 = fields.peekTag() === TAG.integer;
  if (version2 && fields.smallInteger() !== 1) fields.fail('is not of version v2');
  if (!fields.element().equals(signatureAlgorithmDer)) fields.fail('has two different signature algorithms');
  const issuerDer = fields.peekElement();
  fields.sequence();
  const thisUpdate = fields.time();
  const timeNext = fields.peekTag() === TAG.utcTime || fields.peekTag() === TAG.generalizedTime;
  const nextUpdate = timeNext ? fields.time() : undefined;
  const entriesDer = fields.peekTag() === TAG.sequence ? fields.element() : undefined;
  const extensions = readCrlExtensions(version2 ? fields.optionalContext(0) : undefined);
  fields.finish();

  const base = { tbs, issuerDer, thisUpdate, nextUpdate, signatureAlgorithmDer, signature, extensions };
  return { ...base, ...readKnownExtensions(extensions, issuerDer), ...readEntries(entriesDer, issuerDer, extensions) };
}

/** Checks the CRL's signature with its issuer's key. Times, scope and key usage are the caller's. */
export function verifyCrl(crl: CertificateList, issuerKey: SubjectPublicKey): boolean {
  return verifyBytes(crl.signatureAlgorithmDer, issuerKey.keyObject, crl.tbs, crl.signature);
}

function readCrlExtensions(explicit: DerReader | undefined): Map<string, Extension> {
  const extensions = explicit === undefined ? [] : readExtensions(explicit.sequence(), true);
  explicit?.finish();
  return new Map(extensions.map((one) => [one.oid, one]));
}

type KnownExtensions = Pick<
  CertificateList,
  'number' | 'deltaBase' | 'authorityKeyId' | 'issuingDistributionPoint' | 'distributionPoint'
>;

function readKnownExtensions(extensions: Map<string, Extension>, issuerDer: Buffer): KnownExtensions {
  const idp = extensions.get(OID.issuingDistributionPoint);
  const issuingDistributionPoint = idp && readIssuingDistributionPoint(idp.value, issuerDer);
  const authorityKey = extensions.get(OID.authorityKeyIdentifier);
  return {
    number: readNumber(extensions.get(OID.cRLNumber)),
    deltaBase: readNumber(extensions.get(OID.deltaCRLIndicator)),
    authorityKeyId: authorityKey && readAuthorityKeyId(authorityKey.value),
    issuingDistributionPoint,
    distributionPoint: issuingDistributionPoint?.names?.flatMap((name) => (name.type === 'uri' ? [name.value] : []))[0],
  };
}

function readNumber(extension: Extension | undefined): bigint | undefined {
  if (extension === undefined) return undefined;
  const reader = DerReader.open(extension.value, WHAT);
  const number = reader.bigint();
  reader.finish();
  if (number < 0n) reader.fail('has a negative number');
  return number;
}

type Entries = Pick<CertificateList, 'entries' | 'entryCount' | 'find' | 'unusable'>;

/** One pass checks and counts; the closures returned read the same octets again. */
function readEntries(list: Buffer | undefined, issuerDer: Buffer, extensions: Map<string, Extension>): Entries {
  const strange = [...extensions.values()].find((one) => one.critical && !KNOWN_EXTENSIONS.has(one.oid));
  let unusable = strange && `critical extension ${strange.oid}`;
  let entryCount = 0;
  if (list !== undefined) {
    for (const entry of iterate(list, issuerDer)) {
      entryCount += 1;
      if (entry.unknownCritical !== undefined) unusable ??= `critical entry extension ${entry.unknownCritical}`;
    }
    if (entryCount === 0) DerReader.open(list, WHAT).fail('has an empty list of entries');
  }
  const entries = (): Iterable<RevokedCertificate> => (list === undefined ? [] : iterate(list, issuerDer));
  const find = (serial: string, ofIssuer: Buffer = issuerDer): RevokedCertificate | undefined =>
    list === undefined ? undefined : findEntry(list, issuerDer, serial, ofIssuer);
  return { entries, entryCount, find, unusable };
}

function findEntry(list: Buffer, issuerDer: Buffer, serial: string, of: Buffer): RevokedCertificate | undefined {
  // A serial that occurs nowhere in the octets is in no entry: the common case costs one search and no parsing.
  if (!list.includes(der.tagged(TAG.integer, Buffer.from(serial, 'hex')))) return undefined;
  for (const entry of iterate(list, issuerDer)) {
    if (entry.serial === serial && namesEqual(entry.issuerDer, of)) return entry;
  }
  return undefined;
}

interface ReadEntry extends RevokedCertificate {
  unknownCritical: string | undefined;
}

function* iterate(list: Buffer, crlIssuerDer: Buffer): Generator<ReadEntry> {
  const reader = DerReader.openSequence(list, WHAT, LIMITS);
  let issuerDer = crlIssuerDer;
  while (!reader.done) {
    const fields = reader.sequence();
    const serial = fields.integer().toString('hex');
    const revokedAt = fields.time();
    const entry: ReadEntry = {
      serial,
      revokedAt,
      reason: 'unspecified',
      invalidityDate: undefined,
      issuerDer,
      unknownCritical: undefined,
    };
    if (!fields.done) readEntryExtensions(fields.sequence(), entry);
    fields.finish();
    // The issuer of an entry holds for the following ones until another is named.
    issuerDer = entry.issuerDer;
    yield entry;
  }
}

function readEntryExtensions(list: DerReader, entry: ReadEntry): void {
  for (const { oid, critical, value } of readExtensions(list, true)) {
    const inner = DerReader.open(value, WHAT);
    switch (oid) {
      case OID.cRLReason: {
        const code = inner.enumerated();
        entry.reason = crlReasonOf(code) ?? inner.fail(`has the undefined reason ${code}`);
        break;
      }
      case OID.invalidityDate:
        entry.invalidityDate = inner.generalizedTime();
        break;
      case OID.certificateIssuer:
        entry.issuerDer = readCertificateIssuer(inner);
        break;
      default:
        if (critical) entry.unknownCritical = oid;
        continue;
    }
    inner.finish();
  }
}

function readCertificateIssuer(reader: DerReader): Buffer {
  const name = readGeneralNames(reader.sequence()).find((one) => one.type === 'directory');
  return name?.der ?? reader.fail('has an entry whose certificate issuer is no directory name');
}
