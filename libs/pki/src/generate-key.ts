import { createPrivateKey, generateKeyPair as generate, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { AuthorityError } from '#kernel';
import { DerReader } from './der/read.js';
import { TAG } from './der/tags.js';
import { der } from './der/write.js';
import { OID } from './oids.js';
import { type KeyType, readPublicKey, type SubjectPublicKey } from './public-key.js';

/** Key types of which this authority makes pairs. */
export const GENERATED_KEY_TYPES = [
  'ec-p256',
  'ec-p384',
  'ec-p521',
  'rsa-2048',
  'rsa-3072',
  'rsa-4096',
  'ed25519',
  'ml-dsa-44',
  'ml-dsa-65',
  'ml-dsa-87',
  'ml-kem-512',
  'ml-kem-768',
  'ml-kem-1024',
] as const satisfies readonly KeyType[];
export type GeneratedKeyType = (typeof GENERATED_KEY_TYPES)[number];

export interface GeneratedKey {
  keyType: KeyType;
  privateKey: KeyObject;
  publicKey: SubjectPublicKey;
}

interface Pair {
  privateKey: KeyObject;
  publicKey: KeyObject;
}

/** Node's own types know an overload for each algorithm; here the switch below picks. */
const makePair = promisify(generate) as (type: string, options: object) => Promise<Pair>;

/**
 * Makes a key pair in a thread of its own: RSA-4096 takes a second. RSA has the exponent 65537 (FIPS 186-5 A.1.1). Throws
 * AuthorityError 'invalid' (code 'unsupportedKey') for types that are not made.
 */
export async function generateKeyPair(keyType: KeyType): Promise<GeneratedKey> {
  const { privateKey, publicKey } = await generatePair(keyType);
  return { keyType, privateKey, publicKey: readPublicKey(publicKey.export({ type: 'spki', format: 'der' })) };
}

function generatePair(keyType: KeyType): Promise<Pair> {
  switch (keyType) {
    case 'ec-p256':
    case 'ec-p384':
    case 'ec-p521':
      return makePair('ec', { namedCurve: keyType.replace('ec-p', 'P-') });
    case 'rsa-2048':
    case 'rsa-3072':
    case 'rsa-4096':
      return makePair('rsa', { modulusLength: Number(keyType.slice('rsa-'.length)) });
    case 'ed25519':
    case 'ml-dsa-44':
    case 'ml-dsa-65':
    case 'ml-dsa-87':
    case 'ml-kem-512':
    case 'ml-kem-768':
    case 'ml-kem-1024':
      return makePair(keyType, {});
    case 'rsa-other':
    case 'unknown':
      throw new AuthorityError('invalid', `no keys of type ${keyType} are made`, { code: 'unsupportedKey' });
  }
}

/** Octets of the seed from which such a key is expanded (RFC 9881 section 6, RFC 9935 section 6). */
const SEEDS: ReadonlyMap<string, number> = new Map([
  [OID.mlDsa44, 32],
  [OID.mlDsa65, 32],
  [OID.mlDsa87, 32],
  [OID.mlKem512, 64],
  [OID.mlKem768, 64],
  [OID.mlKem1024, 64],
]);
const SEED_TAG = 0x80;

/**
 * PKCS#8 (RFC 5958, version 0, no attributes) of a private key. ML-DSA and ML-KEM keys stand as their seed alone (P53). The caller
 * overwrites the octets when they are used.
 */
export function encodePrivateKey(privateKey: KeyObject): Buffer {
  const exported = privateKey.export({ type: 'pkcs8', format: 'der' });
  const info = readPrivateKeyInfo(exported);
  if (info.seed === undefined) return exported;
  const encoded = der.sequence(der.integer(0), info.algorithm, der.octetString(der.tagged(SEED_TAG, info.seed)));
  exported.fill(0);
  return encoded;
}

/**
 * Reads PKCS#8. Of ML-DSA and ML-KEM keys all three forms are read by their tag; where seed and expanded key both stand there they
 * must belong together (P53, RFC 9935 section 8). Throws AuthorityError 'malformed', without a word of the key in it.
 */
export function readPrivateKey(pkcs8: Buffer): KeyObject {
  try {
    return createPrivateKey({ key: pkcs8, type: 'pkcs8', format: 'der' });
  } catch {
    // The cause stays out: nobody vouches that it holds nothing of the key.
    throw new AuthorityError('malformed', 'the private key cannot be read');
  }
}

/** Algorithm and, of the algorithms that have one, the seed: as CHOICE member `[0]`, or first in the SEQUENCE of both. */
function readPrivateKeyInfo(pkcs8: Buffer): { algorithm: Buffer; seed: Buffer | undefined } {
  const info = DerReader.openSequence(pkcs8, 'private key');
  info.smallInteger();
  const algorithm = info.peekElement();
  const oid = info.sequence().oid();
  const octets = SEEDS.get(oid);
  if (octets === undefined) return { algorithm, seed: undefined };
  const key = DerReader.open(info.octetString(), 'private key');
  // A key that was only ever known expanded has no seed to stand by.
  if (key.peekTag() === TAG.octetString) return { algorithm, seed: undefined };
  const seed = key.peekTag() === SEED_TAG ? key.content(SEED_TAG) : key.sequence().octetString();
  if (seed.length !== octets) key.fail('has a seed of the wrong length');
  return { algorithm, seed };
}
