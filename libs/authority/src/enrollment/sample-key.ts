import { generateKeyPair, type KeyType, type SubjectPublicKey } from '#pki';

/** One per type and process: making a large RSA key takes seconds, and what is tried out needs no fresh one. */
const samples = new Map<KeyType, Promise<SubjectPublicKey>>();

/** The public half of a key of this type that nobody has: to try out what one could get. Throws `invalid` for types that are not made. */
export function sampleKey(keyType: KeyType): Promise<SubjectPublicKey> {
  const sample = samples.get(keyType) ?? generateKeyPair(keyType).then(({ publicKey }) => publicKey);
  samples.set(keyType, sample);
  return sample;
}
