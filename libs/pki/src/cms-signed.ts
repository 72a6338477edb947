import { hash, type KeyObject } from 'node:crypto';
import { AuthorityError } from '#kernel';
import type { Certificate } from './certificate.js';
import { encodeAttribute } from './csr-write.js';
import { der, sortSetOf } from './der/write.js';
import { OID } from './oids.js';
import { signatureAlgorithm, signBytes, type SignatureDigest } from './signature.js';

/** Who signs a CMS message: the certificate goes into it. */
export interface CmsSigner {
  certificate: Certificate;
  privateKey: KeyObject;
}

const DIGEST_OIDS: Readonly<Record<SignatureDigest, string>> = {
  sha256: OID.sha256,
  sha384: OID.sha384,
  sha512: OID.sha512,
};

/** RFC 5652 section 3. */
export const contentInfo = (type: string, content: Buffer): Buffer =>
  der.sequence(der.oid(type), der.constructed(0, content));

/**
 * The SignedData itself (RFC 5652 section 5.1), without a ContentInfo around it: version 3, content inside, one signer with
 * contentType, messageDigest and signingTime as signed attributes, its certificate and the `certificates` beside it.
 */
export function encodeSignedData(message: {
  contentType: string;
  content: Buffer;
  signer: CmsSigner;
  signingTime: Date;
  certificates?: readonly Buffer[];
}): Buffer {
  const { contentType, content, signer, signingTime, certificates = [] } = message;
  const digest = digestOf(signer.certificate);
  const digestAlgorithm = der.sequence(der.oid(DIGEST_OIDS[digest]));
  const attributes = sortSetOf([
    encodeAttribute(OID.contentType, der.oid(contentType)),
    encodeAttribute(OID.messageDigest, der.octetString(hash(digest, content, 'buffer'))),
    encodeAttribute(OID.signingTime, der.time(signingTime)),
  ]);
  const { keyType } = signer.certificate.publicKey;
  const signerInfo = der.sequence(
    der.integer(1),
    issuerAndSerial(signer.certificate),
    digestAlgorithm,
    der.constructed(0, ...attributes),
    signatureAlgorithm(keyType).der,
    // Signed as the SET OF that it is, not under the tag that it is sent with (RFC 5652 section 5.4).
    der.octetString(signBytes(keyType, signer.privateKey, der.setOf(...attributes))),
  );
  const unique = new Map([signer.certificate.der, ...certificates].map((one) => [one.toString('latin1'), one]));
  return der.sequence(
    der.integer(3),
    der.setOf(digestAlgorithm),
    der.sequence(der.oid(contentType), der.constructed(0, der.octetString(content))),
    der.constructed(0, ...sortSetOf([...unique.values()])),
    der.setOf(signerInfo),
  );
}

export function issuerAndSerial({ issuerDer, serial }: Pick<Certificate, 'issuerDer' | 'serial'>): Buffer {
  return der.sequence(issuerDer, der.tagged(0x02, Buffer.from(serial, 'hex')));
}

/** Algorithms that hash by themselves still need a digest of the content: SHA-512 (RFC 8419 section 2.3, RFC 9882 section 3.3). */
function digestOf({ publicKey }: Certificate): SignatureDigest {
  return signatureAlgorithm(publicKey.keyType).digest ?? 'sha512';
}

/** The digest of an AlgorithmIdentifier's OID. Throws `invalid` (code `unsupportedAlgorithm`) for SHA-1, MD5 and unknown ones. */
export function digestByOid(oid: string): SignatureDigest {
  for (const digest of ['sha256', 'sha384', 'sha512'] as const) if (DIGEST_OIDS[digest] === oid) return digest;
  throw new AuthorityError('invalid', 'the digest is not accepted; use SHA-256, SHA-384 or SHA-512', {
    code: 'unsupportedAlgorithm',
  });
}
