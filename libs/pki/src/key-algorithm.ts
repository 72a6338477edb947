import { AuthorityError } from '#kernel';
import { der } from './der/write.js';
import { OID } from './oids.js';
import type { KeyType } from './public-key.js';

/** The algorithm of a SubjectPublicKeyInfo (RFC 3279, 5480, 8410, 9881, 9935). */
export interface KeyAlgorithm {
  oid: string;
  /** OID of the named curve, of EC keys alone. */
  curve: string | undefined;
  /** DER of the AlgorithmIdentifier. */
  der: Buffer;
}

const ec = (curve: string): KeyAlgorithm => ({
  oid: OID.ecPublicKey,
  curve,
  der: der.sequence(der.oid(OID.ecPublicKey), der.oid(curve)),
});
const bare = (oid: string): KeyAlgorithm => ({ oid, curve: undefined, der: der.sequence(der.oid(oid)) });
const RSA: KeyAlgorithm = {
  oid: OID.rsaEncryption,
  curve: undefined,
  der: der.sequence(der.oid(OID.rsaEncryption), der.null()),
};

const ALGORITHMS: ReadonlyMap<KeyType, KeyAlgorithm> = new Map([
  ['ec-p256', ec(OID.secp256r1)],
  ['ec-p384', ec(OID.secp384r1)],
  ['ec-p521', ec(OID.secp521r1)],
  ['rsa-2048', RSA],
  ['rsa-3072', RSA],
  ['rsa-4096', RSA],
  ['rsa-other', RSA],
  ['ed25519', bare(OID.ed25519)],
  ['ml-dsa-44', bare(OID.mlDsa44)],
  ['ml-dsa-65', bare(OID.mlDsa65)],
  ['ml-dsa-87', bare(OID.mlDsa87)],
  ['ml-kem-512', bare(OID.mlKem512)],
  ['ml-kem-768', bare(OID.mlKem768)],
  ['ml-kem-1024', bare(OID.mlKem1024)],
]);

/** How a key of this type names its algorithm. Throws `invalid` (code `unsupportedKey`) for 'unknown'. */
export function keyAlgorithm(keyType: KeyType): KeyAlgorithm {
  const known = ALGORITHMS.get(keyType);
  if (known !== undefined) return known;
  throw new AuthorityError('invalid', `no algorithm is known for keys of type ${keyType}`, { code: 'unsupportedKey' });
}
