import { generateKeyPair } from 'node:crypto';
import { AuthorityError } from '#kernel';
import { readPublicKey, type KeyType, type SubjectPublicKey } from '#pki';

/** One per type and process: making a large RSA key takes seconds, and what is tried out needs no fresh one. */
const samples = new Map<KeyType, Promise<SubjectPublicKey>>();

/** The public half of a key of this type that nobody has: to try out what one could get. Throws `invalid` for no type of ours. */
export function sampleKey(keyType: KeyType): Promise<SubjectPublicKey> {
  const known = samples.get(keyType) ?? make(keyType);
  samples.set(keyType, known);
  return known;
}

async function make(keyType: KeyType): Promise<SubjectPublicKey> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const encoding = {
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  } as const;
  const made = (error: Error | null, spki: Buffer): void => (error === null ? resolve(spki) : reject(error));
  switch (keyType) {
    case 'ec-p256':
    case 'ec-p384':
    case 'ec-p521':
      generateKeyPair('ec', { namedCurve: keyType.replace('ec-p', 'P-'), ...encoding }, made);
      break;
    case 'rsa-2048':
    case 'rsa-3072':
    case 'rsa-4096':
      generateKeyPair('rsa', { modulusLength: Number(keyType.slice(4)), ...encoding }, made);
      break;
    case 'ed25519':
      generateKeyPair('ed25519', encoding, made);
      break;
    case 'ml-dsa-44':
    case 'ml-dsa-65':
    case 'ml-dsa-87':
      generateKeyPair(keyType, encoding, made);
      break;
    default:
      throw new AuthorityError('invalid', `keyType: there are no keys of type ${keyType}`, { member: 'keyType' });
  }
  return readPublicKey(await promise);
}
