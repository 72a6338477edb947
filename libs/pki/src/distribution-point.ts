import { readDistributionPoints } from './certificate-extensions.js';
import { DerReader, isDerBitString } from './der/read.js';
import { contextConstructedTag, contextTag, TAG } from './der/tags.js';
import { der } from './der/write.js';
import type { GeneralName } from './general-name.js';
import { readGeneralNames } from './general-name.js';
import { namesEqual } from './name.js';

/** A DistributionPoint of RFC 5280 section 4.2.1.13 with its names spelled out. */
export interface CrlSource {
  /** A name relative to the CRL issuer is given as directoryName. */
  names: GeneralName[] | undefined;
  /** Bits of ReasonFlags. */
  reasons: number;
  crlIssuer: GeneralName[] | undefined;
}

/** IssuingDistributionPoint of RFC 5280 section 5.2.5. */
export interface IssuingDistributionPoint {
  /** As in CrlSource. */
  names: GeneralName[] | undefined;
  onlyContainsUserCerts: boolean;
  onlyContainsCACerts: boolean;
  /** Bits of ReasonFlags. */
  onlySomeReasons: number;
  indirectCrl: boolean;
  onlyContainsAttributeCerts: boolean;
}

/** ReasonFlags bits 1 to 8, RFC 5280 section 4.2.1.13; bit 0 is unused. */
export const ALL_REASONS = 0b1_1111_1110;

/** Reads a CRLDistributionPoints value. `issuerDer`: Name of the certificate's issuer. */
export function readCrlSources(value: Buffer, issuerDer: Buffer): CrlSource[] {
  return readDistributionPoints(value).map(({ fullName, relativeName, reasons, crlIssuer }) => {
    const base = crlIssuer?.find((name) => name.type === 'directory')?.der ?? issuerDer;
    return {
      names: fullName ?? (relativeName && [relativeTo(base, relativeName)]),
      reasons: reasons === undefined ? ALL_REASONS : reasonBits(reasons),
      crlIssuer,
    };
  });
}

/** Reads an IssuingDistributionPoint value; it must state something (C16). `issuerDer`: Name of the CRL's issuer. */
export function readIssuingDistributionPoint(value: Buffer, issuerDer: Buffer): IssuingDistributionPoint {
  const fields = DerReader.openSequence(value, 'CRL issuing distribution point');
  if (fields.done) fields.fail('is empty');
  const point = fields.optionalContext(0);
  const names = point && readPointName(point, issuerDer);
  const onlyContainsUserCerts = readFlag(fields, 1);
  const onlyContainsCACerts = readFlag(fields, 2);
  const someReasons = fields.optionalContextBytes(3);
  const onlySomeReasons = someReasons === undefined ? ALL_REASONS : reasonBits(someReasons);
  const indirectCrl = readFlag(fields, 4);
  const onlyContainsAttributeCerts = readFlag(fields, 5);
  fields.finish();
  return {
    names,
    onlyContainsUserCerts,
    onlyContainsCACerts,
    onlySomeReasons,
    indirectCrl,
    onlyContainsAttributeCerts,
  };
}

/** True if a name occurs on both sides: directory names by RFC 5280 section 7.1, URIs octet by octet (C17). */
export function shareName(a: readonly GeneralName[], b: readonly GeneralName[]): boolean {
  return a.some((one) => b.some((other) => sameName(one, other)));
}

function sameName(a: GeneralName, b: GeneralName): boolean {
  if (a.type === 'directory') return b.type === 'directory' && namesEqual(a.der, b.der);
  if (a.type === 'uri') return b.type === 'uri' && a.value === b.value;
  return false;
}

function readPointName(point: DerReader, issuerDer: Buffer): GeneralName[] {
  const full = point.optionalContext(0);
  const relative = full === undefined ? point.element() : undefined;
  point.finish();
  if (full !== undefined) return readGeneralNames(full);
  return relative === undefined ? [] : [relativeTo(issuerDer, relative)];
}

/** nameRelativeToCRLIssuer: one more RDN behind the issuer's name. */
function relativeTo(issuerDer: Buffer, relativeName: Buffer): GeneralName {
  const issuer = DerReader.open(issuerDer, 'issuer name').content(TAG.sequence);
  const rdn = DerReader.open(relativeName, 'name relative to the CRL issuer').content(contextConstructedTag(1));
  return { type: 'directory', der: der.sequence(issuer, der.tagged(TAG.set, rdn)) };
}

/** BOOLEAN DEFAULT FALSE, IMPLICIT: present means TRUE in DER. */
function readFlag(reader: DerReader, number: number): boolean {
  if (reader.peekTag() !== contextTag(number)) return false;
  const content = reader.content(contextTag(number));
  if (content.length !== 1 || content[0] !== 0xff) reader.fail('has a flag that is not DER');
  return true;
}

/** `content`: of a ReasonFlags BIT STRING, the unused-bits octet first. */
function reasonBits(content: Buffer): number {
  if (!isDerBitString(content, 0, content.length))
    DerReader.open(content, 'ReasonFlags').fail('is no BIT STRING of DER');
  let flags = 0;
  for (let bit = 1; bit <= 8; bit++) {
    if ((((content[1 + (bit >> 3)] ?? 0) << (bit & 7)) & 0x80) !== 0) flags |= 1 << bit;
  }
  return flags;
}
