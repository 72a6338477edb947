import { createPublicKey, hash, type KeyObject } from 'node:crypto';
import { AuthorityError } from '#kernel';
import { DerReader } from './der/read.js';
import { TAG } from './der/tags.js';
import { OID } from './oids.js';

/** `rsa-other` is any other modulus size, `unknown` any other algorithm or curve: such keys can be held but not used. */
export type KeyType =
  | 'ec-p256'
  | 'ec-p384'
  | 'ec-p521'
  | 'rsa-2048'
  | 'rsa-3072'
  | 'rsa-4096'
  | 'rsa-other'
  | 'ed25519'
  | 'ml-dsa-44'
  | 'ml-dsa-65'
  | 'ml-dsa-87'
  | 'ml-kem-512'
  | 'ml-kem-768'
  | 'ml-kem-1024'
  | 'unknown';

export interface SubjectPublicKey {
  /** DER of SubjectPublicKeyInfo. */
  readonly spki: Buffer;
  readonly keyType: KeyType;
  /** SHA-1 of the BIT STRING's octets (RFC 5280 4.2.1.2 (1)). */
  readonly keyId: Buffer;
  /** SHA-256 of `spki`. */
  readonly sha256: Buffer;
  /** Made on first use; throws AuthorityError 'malformed' if OpenSSL cannot read the key or does not know its algorithm. */
  readonly keyObject: KeyObject;
}

/** Octets of a coordinate by curve. */
export const CURVES: ReadonlyMap<string, { keyType: KeyType; octets: number }> = new Map([
  [OID.secp256r1, { keyType: 'ec-p256', octets: 32 }],
  [OID.secp384r1, { keyType: 'ec-p384', octets: 48 }],
  [OID.secp521r1, { keyType: 'ec-p521', octets: 66 }],
]);

/** Keys that are a bare octet string with absent parameters (RFC 8410 section 3, RFC 9881 section 4, RFC 9935 section 4). */
const RAW_KEYS: ReadonlyMap<string, { keyType: KeyType; octets: number }> = new Map([
  [OID.ed25519, { keyType: 'ed25519', octets: 32 }],
  [OID.mlDsa44, { keyType: 'ml-dsa-44', octets: 1312 }],
  [OID.mlDsa65, { keyType: 'ml-dsa-65', octets: 1952 }],
  [OID.mlDsa87, { keyType: 'ml-dsa-87', octets: 2592 }],
  [OID.mlKem512, { keyType: 'ml-kem-512', octets: 800 }],
  [OID.mlKem768, { keyType: 'ml-kem-768', octets: 1184 }],
  [OID.mlKem1024, { keyType: 'ml-kem-1024', octets: 1568 }],
]);

/** Keys that encapsulate and cannot sign: a request for one is signed by another key (P54). */
export const isKemKey = (keyType: KeyType): boolean => keyType.startsWith('ml-kem-');

/** A key whose costly parts are made when asked for: certificates are read far more often than their keys are used. */
class LazyPublicKey implements SubjectPublicKey {
  #keyId: Buffer | undefined;
  #sha256: Buffer | undefined;
  #keyObject: KeyObject | undefined;

  constructor(
    readonly spki: Buffer,
    readonly keyType: KeyType,
    readonly keyBits: Buffer,
  ) {}

  get keyId(): Buffer {
    return (this.#keyId ??= hash('sha1', this.keyBits, 'buffer'));
  }

  get sha256(): Buffer {
    return (this.#sha256 ??= hash('sha256', this.spki, 'buffer'));
  }

  get keyObject(): KeyObject {
    return (this.#keyObject ??= openKey(this.spki));
  }
}

function openKey(spki: Buffer): KeyObject {
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' });
  } catch (cause) {
    throw new AuthorityError(
      'malformed',
      'the public key cannot be read: its value is broken or its algorithm is not known',
      { cause },
    );
  }
}

/**
 * Reads a SubjectPublicKeyInfo (RFC 5280 4.1.2.7) that must be whole and, where its type is known, a key that OpenSSL accepts (a point
 * on its curve). Throws AuthorityError 'malformed' (code 'weakKey' for a wrong length). Strength is `checkKeyStrength`'s matter.
 */
export function readPublicKey(spki: Buffer): SubjectPublicKey {
  const key = parsePublicKey(spki);
  if (key.keyType !== 'unknown') void key.keyObject;
  return key;
}

/** As `readPublicKey`, but what the key bits say is looked at only when `keyObject` is first used. */
export function parsePublicKey(spki: Buffer): SubjectPublicKey {
  const info = DerReader.openSequence(spki, 'public key');
  const algorithm = info.sequence();
  const oid = algorithm.oid();
  const bits = info.bitString();
  info.finish();
  const keyType = bits.unusedBits === 0 ? keyTypeOf(oid, algorithm, bits.bytes) : 'unknown';
  return new LazyPublicKey(spki, keyType, bits.bytes);
}

function keyTypeOf(oid: string, algorithm: DerReader, bits: Buffer): KeyType {
  if (oid === OID.rsaEncryption) {
    if (!algorithm.done) algorithm.null();
    return rsaType(bits);
  }
  if (oid === OID.ecPublicKey) {
    return algorithm.peekTag() === TAG.oid ? (CURVES.get(algorithm.oid())?.keyType ?? 'unknown') : 'unknown';
  }
  const raw = RAW_KEYS.get(oid);
  if (raw === undefined) return 'unknown';
  if (!algorithm.done) algorithm.fail('has parameters where its algorithm has none');
  if (bits.length !== raw.octets) {
    const detail = `the public key has ${bits.length} octets where its algorithm has ${raw.octets}; send it whole`;
    throw new AuthorityError('malformed', detail, { code: 'weakKey' });
  }
  return raw.keyType;
}

function rsaType(bits: Buffer): KeyType {
  const { modulus } = readRsaKey(bits);
  const length = modulus.toString(2).length;
  return length === 2048 || length === 3072 || length === 4096 ? `rsa-${length}` : 'rsa-other';
}

/** RSAPublicKey (RFC 8017 A.1.1). */
export function readRsaKey(bits: Buffer): { modulus: bigint; exponent: bigint } {
  const key = DerReader.openSequence(bits, 'RSA public key');
  const [modulus, exponent] = [key.bigint(), key.bigint()];
  key.finish();
  if (modulus <= 0n || exponent <= 0n) key.fail('has a number that is not positive');
  return { modulus, exponent };
}
