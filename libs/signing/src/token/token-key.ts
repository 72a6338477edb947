import { createHash } from 'node:crypto';
import { AuthorityError } from '#kernel';
import { der, DerReader, OID, signatureAlgorithm, type KeyType } from '#pki';
import type { Token } from './token.js';

/** Octets: of the uncompressed point. */
const CURVES: Partial<Record<KeyType, { oid: string; octets: number }>> = {
  'ec-p256': { oid: OID.secp256r1, octets: 65 },
  'ec-p384': { oid: OID.secp384r1, octets: 97 },
  'ec-p521': { oid: OID.secp521r1, octets: 133 },
};
const RSA_BITS: Partial<Record<KeyType, number>> = { 'rsa-2048': 2048, 'rsa-3072': 3072, 'rsa-4096': 4096 };
const DIGEST_OIDS = { sha256: OID.sha256, sha384: OID.sha384, sha512: OID.sha512 } as const;

/**
 * Makes a key pair in the token under this CKA_ID and returns its SubjectPublicKeyInfo, DER. Throws `invalid` (code
 * `keyLocation`) for what PKCS#11 of today has no mechanism for: ML-DSA and Ed25519 are out of reach there.
 */
export async function createTokenKey(token: Token, id: Buffer, keyType: KeyType): Promise<Buffer> {
  const label = `touchmark ${id.toString('hex')}`;
  const curve = CURVES[keyType];
  if (curve !== undefined) {
    const { point } = await token.generate(id, label, { curve: der.oid(curve.oid) });
    return der.sequence(
      der.sequence(der.oid(OID.ecPublicKey), der.oid(curve.oid)),
      der.bitString(pointOf(Buffer.from(point ?? []), curve.octets)),
    );
  }
  const bits = RSA_BITS[keyType];
  if (bits === undefined) {
    throw new AuthorityError(
      'invalid',
      `a PKCS#11 token holds no key of type ${keyType}: choose ECDSA or RSA, or a sealed key`,
      {
        code: 'keyLocation',
      },
    );
  }
  const { modulus, exponent } = await token.generate(id, label, { bits });
  const key = der.sequence(unsigned(modulus), unsigned(exponent));
  return der.sequence(der.sequence(der.oid(OID.rsaEncryption), der.null()), der.bitString(key));
}

/** Signs as `signBytes` does: the digest is computed here, so that 40 MB need not pass through the token. */
export async function signInToken(token: Token, id: Buffer, keyType: KeyType, message: Buffer): Promise<Buffer> {
  const { digest } = signatureAlgorithm(keyType);
  if (digest === null) throw new AuthorityError('invalid', `a token does not sign with a key of type ${keyType}`);
  const hash = createHash(digest).update(message).digest();
  if (RSA_BITS[keyType] === undefined) return ecdsaDer(await token.sign(id, 'ecdsa', hash));
  const digestInfo = der.sequence(der.sequence(der.oid(DIGEST_OIDS[digest]), der.null()), der.octetString(hash));
  return token.sign(id, 'rsa', digestInfo);
}

/** CKA_EC_POINT is the point in an OCTET STRING (PKCS#11 2.40 section 2.3.3); some tokens give the bare point. */
function pointOf(value: Buffer, octets: number): Buffer {
  if (value.length === octets) return value;
  const wrapped = DerReader.open(value, 'EC point');
  const point = wrapped.octetString();
  wrapped.finish();
  return point;
}

/** r and s of equal length, one after the other, become the SEQUENCE of X9.62. */
function ecdsaDer(raw: Buffer): Buffer {
  const half = raw.length / 2;
  return der.sequence(unsigned(raw.subarray(0, half)), unsigned(raw.subarray(half)));
}

const unsigned = (octets: Uint8Array | undefined): Buffer => der.integer(Buffer.from(octets ?? []));
