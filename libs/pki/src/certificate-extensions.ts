import { DerReader } from './der/read.js';
import { contextTag, TAG } from './der/tags.js';
import { der } from './der/write.js';
import { type GeneralName, encodeGeneralName, readGeneralName, readGeneralNames } from './general-name.js';
import { OID } from './oids.js';

export type KeyUsage =
  | 'digitalSignature'
  | 'nonRepudiation'
  | 'keyEncipherment'
  | 'dataEncipherment'
  | 'keyAgreement'
  | 'keyCertSign'
  | 'cRLSign'
  | 'encipherOnly'
  | 'decipherOnly';

/** By bit number (RFC 5280 4.2.1.3). */
export const KEY_USAGES: readonly KeyUsage[] = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
];

export function encodeKeyUsage(usages: readonly KeyUsage[]): Buffer {
  return der.namedBits(usages.map((usage) => KEY_USAGES.indexOf(usage)));
}

/** The set bits in bit order; bits beyond the nine named ones are ignored. */
export function readKeyUsage(value: Buffer): KeyUsage[] {
  const outer = DerReader.open(value, 'keyUsage');
  const { bytes } = outer.bitString();
  outer.finish();
  return KEY_USAGES.filter((_, bit) => (((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) === 1);
}

export function encodeBasicConstraints(constraints: { ca: boolean; pathLen?: number }): Buffer {
  if (!constraints.ca) return der.sequence();
  return constraints.pathLen === undefined
    ? der.sequence(der.boolean(true))
    : der.sequence(der.boolean(true), der.integer(constraints.pathLen));
}

export function readBasicConstraints(value: Buffer): { ca: boolean; pathLen: number | undefined } {
  const constraints = DerReader.openSequence(value, 'basicConstraints');
  const ca = constraints.peekTag() === TAG.boolean ? constraints.boolean() : false;
  const pathLen = constraints.done ? undefined : constraints.smallInteger();
  constraints.finish();
  if (pathLen !== undefined && pathLen < 0) constraints.fail('has a negative path length');
  return { ca, pathLen };
}

export function encodeExtendedKeyUsage(oids: readonly string[]): Buffer {
  return der.sequence(...oids.map(der.oid));
}

export function readExtendedKeyUsage(value: Buffer): string[] {
  const list = DerReader.openSequence(value, 'extKeyUsage');
  const oids: string[] = [];
  while (!list.done) oids.push(list.oid());
  if (oids.length === 0) list.fail('names no purpose');
  return oids;
}

export function encodeAuthorityKeyId(keyId: Buffer): Buffer {
  return der.sequence(der.primitive(0, keyId));
}

/** The keyIdentifier, or undefined where only issuer and serial are given. */
export function readAuthorityKeyId(value: Buffer): Buffer | undefined {
  const identifier = DerReader.openSequence(value, 'authorityKeyIdentifier');
  const keyId = identifier.optionalContextBytes(0);
  const issuer = identifier.optionalContext(1);
  if (issuer !== undefined) readGeneralNames(issuer);
  if (identifier.peekTag() === contextTag(2)) identifier.integer(contextTag(2));
  identifier.finish();
  return keyId;
}

/** CRLDistributionPoints with one point that names one URI (RFC 5280 4.2.1.13). */
export function encodeDistributionPoint(uri: string): Buffer {
  return der.sequence(der.sequence(der.constructed(0, der.constructed(0, uriName(uri)))));
}

/** The `[6]` element of a URI, as it also stands in an issuing distribution point (C17: byte-equal). */
export function uriName(uri: string): Buffer {
  return encodeGeneralName({ type: 'uri', value: uri });
}

export interface DistributionPoint {
  fullName: GeneralName[] | undefined;
  /** The content of nameRelativeToCRLIssuer, an RDN's attributes. */
  relativeName: Buffer | undefined;
  /** Content octets of the ReasonFlags BIT STRING (unused-bits octet first). */
  reasons: Buffer | undefined;
  crlIssuer: GeneralName[] | undefined;
}

export function readDistributionPoints(value: Buffer, what = 'cRLDistributionPoints'): DistributionPoint[] {
  const list = DerReader.openSequence(value, what);
  const points: DistributionPoint[] = [];
  while (!list.done) {
    const point = list.sequence();
    const name = point.optionalContext(0);
    const fullName = name?.optionalContext(0);
    const relative = name !== undefined && fullName === undefined ? name.element() : undefined;
    name?.finish();
    const reasons = point.peekTag() === contextTag(1) ? point.content(contextTag(1)) : undefined;
    const crlIssuer = point.optionalContext(2);
    point.finish();
    points.push({
      fullName: fullName === undefined ? undefined : readGeneralNames(fullName),
      relativeName: relative,
      reasons,
      crlIssuer: crlIssuer === undefined ? undefined : readGeneralNames(crlIssuer),
    });
  }
  if (points.length === 0) list.fail('has no distribution point');
  return points;
}

/** All URIs of all points, in order. */
export function readDistributionPointUris(value: Buffer): string[] {
  return readDistributionPoints(value).flatMap((point) =>
    (point.fullName ?? []).flatMap((name) => (name.type === 'uri' ? [name.value] : [])),
  );
}

export function encodeAuthorityInfoAccess(access: {
  ocspUri: string | undefined;
  caIssuersUri: string | undefined;
}): Buffer {
  const description = (oid: string, uri: string | undefined): Buffer[] =>
    uri === undefined ? [] : [der.sequence(der.oid(oid), uriName(uri))];
  return der.sequence(...description(OID.adOcsp, access.ocspUri), ...description(OID.adCaIssuers, access.caIssuersUri));
}

/** The URIs of the two methods that RFC 5280 4.2.2.1 defines; other methods and other kinds of names are passed over. */
export function readAuthorityInfoAccess(value: Buffer): { ocsp: string[]; caIssuers: string[] } {
  const list = DerReader.openSequence(value, 'authorityInfoAccess');
  const uris = { ocsp: [] as string[], caIssuers: [] as string[] };
  if (list.done) list.fail('has no access description');
  while (!list.done) {
    const description = list.sequence();
    const method = description.oid();
    const location = readGeneralName(description);
    description.finish();
    if (location.type !== 'uri') continue;
    if (method === OID.adOcsp) uris.ocsp.push(location.value);
    else if (method === OID.adCaIssuers) uris.caIssuers.push(location.value);
  }
  return uris;
}
