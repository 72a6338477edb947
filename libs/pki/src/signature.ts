import {
  constants,
  type KeyObject,
  sign,
  type SignKeyObjectInput,
  verify,
  type VerifyKeyObjectInput,
} from 'node:crypto';
import { AuthorityError } from '#kernel';
import { der } from './der/write.js';
import { OID } from './oids.js';
import type { KeyType } from './public-key.js';

export type SignatureDigest = 'sha256' | 'sha384' | 'sha512';

export interface SignatureAlgorithm {
  /** DER of the AlgorithmIdentifier. */
  der: Buffer;
  /** null where the algorithm hashes by itself (Ed25519, ML-DSA). */
  digest: SignatureDigest | null;
  oid: string;
}

interface KnownAlgorithm {
  der: Buffer;
  oid: string;
  /** The `asymmetricKeyType` of node:crypto that this algorithm belongs to. */
  key: string;
  digest: SignatureDigest | 'sha1' | null;
  pss?: number;
}

const bare = (oid: string): Buffer => der.sequence(der.oid(oid));
const withNull = (oid: string): Buffer => der.sequence(der.oid(oid), der.null());

/** RSASSA-PSS with one hash throughout and a salt of its length (RFC 4055 3.1), the only parameters in use. */
function pss(hashOid: string, digest: SignatureDigest, salt: number): KnownAlgorithm {
  const hash = withNull(hashOid);
  const parameters = der.sequence(
    der.constructed(0, hash),
    der.constructed(1, der.sequence(der.oid(OID.mgf1), hash)),
    der.constructed(2, der.integer(salt)),
  );
  return { der: der.sequence(der.oid(OID.rsassaPss), parameters), oid: OID.rsassaPss, key: 'rsa', digest, pss: salt };
}

const rsa = (oid: string, digest: SignatureDigest | 'sha1'): KnownAlgorithm => ({
  der: withNull(oid),
  oid,
  key: 'rsa',
  digest,
});
const ecdsa = (oid: string, digest: SignatureDigest | 'sha1'): KnownAlgorithm => ({
  der: bare(oid),
  oid,
  key: 'ec',
  digest,
});
const whole = (oid: string, key: string): KnownAlgorithm => ({ der: bare(oid), oid, key, digest: null });

const ALGORITHMS: readonly KnownAlgorithm[] = [
  ecdsa(OID.ecdsaWithSha256, 'sha256'),
  ecdsa(OID.ecdsaWithSha384, 'sha384'),
  ecdsa(OID.ecdsaWithSha512, 'sha512'),
  rsa(OID.sha256WithRSAEncryption, 'sha256'),
  rsa(OID.sha384WithRSAEncryption, 'sha384'),
  rsa(OID.sha512WithRSAEncryption, 'sha512'),
  pss(OID.sha256, 'sha256', 32),
  pss(OID.sha384, 'sha384', 48),
  pss(OID.sha512, 'sha512', 64),
  whole(OID.ed25519, 'ed25519'),
  whole(OID.mlDsa44, 'ml-dsa-44'),
  whole(OID.mlDsa65, 'ml-dsa-65'),
  whole(OID.mlDsa87, 'ml-dsa-87'),
];
const LEGACY: readonly KnownAlgorithm[] = [rsa(OID.sha1WithRSAEncryption, 'sha1'), ecdsa(OID.ecdsaWithSha1, 'sha1')];

const latin1 = (bytes: Buffer): string => bytes.toString('latin1');
const BY_DER: ReadonlyMap<string, KnownAlgorithm> = new Map(ALGORITHMS.map((a) => [latin1(a.der), a]));
const LEGACY_BY_DER: ReadonlyMap<string, KnownAlgorithm> = new Map(LEGACY.map((a) => [latin1(a.der), a]));
const BY_OID: ReadonlyMap<string, KnownAlgorithm> = new Map(ALGORITHMS.filter((a) => !a.pss).map((a) => [a.oid, a]));

const OID_BY_KEY_TYPE: Readonly<Partial<Record<KeyType, string>>> = {
  'ec-p256': OID.ecdsaWithSha256,
  'ec-p384': OID.ecdsaWithSha384,
  'ec-p521': OID.ecdsaWithSha512,
  'rsa-2048': OID.sha256WithRSAEncryption,
  'rsa-3072': OID.sha256WithRSAEncryption,
  'rsa-4096': OID.sha256WithRSAEncryption,
  'rsa-other': OID.sha256WithRSAEncryption,
  ed25519: OID.ed25519,
  'ml-dsa-44': OID.mlDsa44,
  'ml-dsa-65': OID.mlDsa65,
  'ml-dsa-87': OID.mlDsa87,
};

/** What EX09 answers name. */
export const SUPPORTED_SIGNATURES = 'ECDSA or RSA with SHA-256, SHA-384 or SHA-512, Ed25519, ML-DSA';

/**
 * The algorithm by which a key of this type signs: ECDSA with the hash of its curve's size, RSA PKCS#1 v1.5 with SHA-256, Ed25519
 * (RFC 8410), pure ML-DSA (RFC 9881). Throws AuthorityError 'invalid' for 'unknown' and ML-KEM.
 */
export function signatureAlgorithm(keyType: KeyType): SignatureAlgorithm {
  const known = BY_OID.get(OID_BY_KEY_TYPE[keyType] ?? '');
  if (known === undefined || known.digest === 'sha1') {
    throw new AuthorityError('invalid', 'no signature algorithm is known for this type of key', {
      code: 'unsupportedKey',
    });
  }
  return { der: known.der, digest: known.digest, oid: known.oid };
}

/** The digest of a signature algorithm that `verifyBytes` takes by default, null where it has none; undefined if it is not taken. */
export function signatureDigest(algorithmDer: Buffer): SignatureDigest | null | undefined {
  const known = BY_DER.get(latin1(algorithmDer));
  return known === undefined || known.digest === 'sha1' ? undefined : known.digest;
}

/** Signs whole bytes, synchronously, with `signatureAlgorithm(keyType)`; ECDSA as DER. */
export function signBytes(keyType: KeyType, privateKey: KeyObject, message: Buffer): Buffer {
  const { digest } = signatureAlgorithm(keyType);
  return sign(digest, message, privateKey);
}

/** A signature under an RSA key of such numbers takes a hundred times as long as others, and anybody may send one. */
const LARGEST_MODULUS = 8192;
const EXPONENT_LIMIT = 1n << 33n;

function isCostly({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  if (asymmetricKeyType !== 'rsa' && asymmetricKeyType !== 'rsa-pss') return false;
  const { modulusLength = 0, publicExponent = 0n } = asymmetricKeyDetails ?? {};
  return modulusLength > LARGEST_MODULUS || publicExponent >= EXPONENT_LIMIT;
}

/**
 * Verifies a signature under exactly the algorithm of the AlgorithmIdentifier, parameters included. False, never an exception, for a
 * wrong signature, an algorithm that is not taken (MD5; SHA-1 unless `allowSha1`), a key of another kind than the algorithm's, or RSA of more
 * than 8192 bits or with an exponent of more than 33.
 */
export function verifyBytes(
  algorithmDer: Buffer,
  publicKey: KeyObject,
  message: Buffer,
  signature: Buffer,
  options: { allowSha1?: boolean } = {},
): boolean {
  const name = latin1(algorithmDer);
  const known = BY_DER.get(name) ?? (options.allowSha1 === true ? LEGACY_BY_DER.get(name) : undefined);
  if (known === undefined || publicKey.asymmetricKeyType !== known.key || isCostly(publicKey)) return false;
  const key: KeyObject | (SignKeyObjectInput & VerifyKeyObjectInput) =
    known.pss === undefined
      ? publicKey
      : { key: publicKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: known.pss };
  try {
    return verify(known.digest, message, key, signature);
  } catch {
    // OpenSSL raises on some signatures that cannot even be parsed; to the caller they are simply wrong.
    return false;
  }
}
