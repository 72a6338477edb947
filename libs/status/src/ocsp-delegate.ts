import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { open, reseal, seal, sealContext, type KeyRing, type SealingKey } from '#credential';
import { AuthorityError } from '#kernel';
import { OID, readCertificate, verifyBytes, type KeyType, type SubjectPublicKey } from '#pki';

/** A delegated OCSP signer, opened (RFC 6960 section 4.2.2.2). */
export interface OcspDelegate {
  /** DER, sent along with every answer (O33). */
  certificate: Buffer;
  /** SHA-1 of the key bits: the responder id of RFC 9919 section 3.2.2 (O32). */
  keyId: Buffer;
  keyType: KeyType;
  privateKey: KeyObject;
  notBefore: Date;
  notAfter: Date;
}

/** Name of the artifact that carries the delegate of one issuer. */
export function ocspDelegateName(issuerId: string): string {
  return `ocsp-delegate/${issuerId}`;
}

/**
 * Bytes of the artifact `ocsp-delegate/<issuerId>` (application/json): the certificate and its private key, sealed under
 * `secrets/ocsp.kek` (32 bytes) to this issuer and this certificate. `pkcs8`: PrivateKeyInfo, DER.
 */
export function sealOcspDelegate(ocspKek: SealingKey, issuerId: string, certificate: Buffer, pkcs8: Buffer): Buffer {
  const sealedKey = seal(ocspKek, pkcs8, contextOf(issuerId, readCertificate(certificate).sha256));
  return artifactOf(certificate, sealedKey);
}

/**
 * Opens such an artifact and checks that it may answer for the issuer: signed by the issuer's own key (O35), EKU
 * OCSPSigning, private key of the certificate. Throws `internal`, code `sealBroken` or `ocspDelegate`.
 */
export function openOcspDelegate(
  ocspKek: SealingKey,
  bytes: Buffer,
  issuer: { id: string; publicKey: SubjectPublicKey },
): OcspDelegate {
  const { certificate, sealedKey } = readArtifact(bytes);
  const parsed = readCertificate(certificate);
  if (!verifyBytes(parsed.signatureAlgorithmDer, issuer.publicKey.keyObject, parsed.tbs, parsed.signature)) {
    throw unusable('was not signed by the key it is to answer for');
  }
  if (parsed.eku?.includes(OID.ocspSigning) !== true) throw unusable('lacks the extended key usage OCSPSigning');
  const pkcs8 = open(ocspKek, sealedKey, contextOf(issuer.id, parsed.sha256));
  const privateKey = createPrivateKey({ key: pkcs8, type: 'pkcs8', format: 'der' });
  pkcs8.fill(0);
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  if (!spki.equals(parsed.publicKey.spki)) throw unusable('has another private key than its certificate says');
  const { keyId, keyType } = parsed.publicKey;
  return { certificate, keyId, keyType, privateKey, notBefore: parsed.notBefore, notAfter: parsed.notAfter };
}

/** The bytes with the key sealed under the version in use; undefined where it is already. Throws as `openOcspDelegate` does. */
export function resealOcspDelegate(ring: KeyRing, bytes: Buffer, issuerId: string): Buffer | undefined {
  const { certificate, sealedKey } = readArtifact(bytes);
  const renewed = reseal(ring, sealedKey, contextOf(issuerId, readCertificate(certificate).sha256));
  return renewed && artifactOf(certificate, renewed);
}

function artifactOf(certificate: Buffer, sealedKey: Buffer): Buffer {
  return Buffer.from(
    JSON.stringify({ certificate: certificate.toString('base64'), sealedKey: sealedKey.toString('base64') }),
  );
}

function readArtifact(bytes: Buffer): { certificate: Buffer; sealedKey: Buffer } {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw unusable('is not JSON', cause);
  }
  const { certificate, sealedKey } = (value ?? {}) as Record<string, unknown>;
  if (typeof certificate !== 'string' || typeof sealedKey !== 'string') throw unusable('lacks a member');
  return { certificate: Buffer.from(certificate, 'base64'), sealedKey: Buffer.from(sealedKey, 'base64') };
}

function contextOf(issuerId: string, certificateSha256: Buffer): Buffer {
  return sealContext('ocsp-delegate', { issuerId, certificateSha256: certificateSha256.toString('hex') });
}

function unusable(problem: string, cause?: unknown): AuthorityError {
  return new AuthorityError('internal', `the delegated OCSP certificate ${problem}`, { code: 'ocspDelegate', cause });
}
