import type { KeyObject } from 'node:crypto';
import { AuthorityError } from '#kernel';
import type { Certificate } from './certificate.js';
import { encodePossessionStatement } from './csr-possession.js';
import { der } from './der/write.js';
import { encodeExtension, type Extension } from './extension.js';
import { encodeGeneralName, encodeGeneralNames, type GeneralName } from './general-name.js';
import { encodeName, type Name } from './name.js';
import { OID } from './oids.js';
import type { KeyType, SubjectPublicKey } from './public-key.js';
import { signatureAlgorithm, signBytes, verifyBytes } from './signature.js';

/** What a client asks for. */
export interface CsrTemplate {
  subject: Name;
  publicKey: SubjectPublicKey;
  san?: GeneralName[];
  /** Further extensions of the request, beside the SAN. */
  extensions?: Extension[];
  challengePassword?: string;
  /** RFC 6402 2.8 with the `[1]` of erratum 3943. */
  changeSubjectName?: { subject?: Name; san?: GeneralName[] };
  /** RFC 9883: the request is signed with the key of this certificate, since its own cannot sign. */
  possession?: { signer: Certificate; carried: boolean };
  /** Further attributes, each an encoded Attribute SEQUENCE. */
  attributes?: Buffer[];
}

/**
 * A PKCS#10 request (RFC 2986) signed with the private key that belongs to `publicKey`: what a device sends. Throws AuthorityError
 * 'invalid' for names that cannot be encoded and keys that cannot sign. With `possession` the private key is that of its signer.
 */
export function encodeCsr(template: CsrTemplate, privateKey: KeyObject): Buffer {
  const info = encodeCsrInfo(template);
  const { keyType } = template.possession?.signer.publicKey ?? template.publicKey;
  return joinCsr(info, keyType, signBytes(keyType, privateKey, info));
}

/** The CertificationRequestInfo alone, for a key that is somewhere else: what it signs. */
export function encodeCsrInfo(template: CsrTemplate): Buffer {
  return der.sequence(
    der.integer(0),
    encodeName(template.subject),
    template.publicKey.spki,
    der.constructed(0, ...attributesOf(template).sort(Buffer.compare)),
  );
}

/** The request of a signature that came back. Throws AuthorityError 'internal' (code 'badSignature') if it does not verify. */
export function assembleCsr(info: Buffer, signature: Buffer, publicKey: SubjectPublicKey): Buffer {
  const algorithm = signatureAlgorithm(publicKey.keyType).der;
  if (!verifyBytes(algorithm, publicKey.keyObject, info, signature)) {
    throw new AuthorityError('internal', 'the signature over the request does not verify', { code: 'badSignature' });
  }
  return joinCsr(info, publicKey.keyType, signature);
}

const joinCsr = (info: Buffer, keyType: KeyType, signature: Buffer): Buffer =>
  der.sequence(info, signatureAlgorithm(keyType).der, der.bitString(signature));

/** An Attribute (RFC 2986 section 4) with one value. */
export const encodeAttribute = (type: string, value: Buffer): Buffer => der.sequence(der.oid(type), der.setOf(value));

function attributesOf({
  san,
  extensions = [],
  challengePassword,
  changeSubjectName,
  possession,
  attributes = [],
}: CsrTemplate): Buffer[] {
  const wanted = [...extensions];
  if (san !== undefined) wanted.push({ oid: OID.subjectAltName, critical: false, value: encodeGeneralNames(san) });
  const all = [...attributes];
  if (wanted.length > 0) all.push(encodeAttribute(OID.extensionRequest, der.sequence(...wanted.map(encodeExtension))));
  if (challengePassword !== undefined)
    all.push(encodeAttribute(OID.challengePassword, der.utf8String(challengePassword)));
  if (changeSubjectName !== undefined)
    all.push(encodeAttribute(OID.changeSubjectName, encodeChange(changeSubjectName)));
  if (possession !== undefined) {
    const statement = encodePossessionStatement(possession.signer, possession.carried);
    all.push(encodeAttribute(OID.statementOfPossession, statement));
  }
  return all;
}

function encodeChange({ subject, san }: NonNullable<CsrTemplate['changeSubjectName']>): Buffer {
  if (subject === undefined && san === undefined)
    throw new AuthorityError('invalid', 'ChangeSubjectName changes nothing');
  return der.sequence(
    ...(subject === undefined ? [] : [encodeName(subject)]),
    ...(san === undefined ? [] : [der.constructed(1, ...san.map(encodeGeneralName))]),
  );
}
