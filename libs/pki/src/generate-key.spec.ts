import { createPublicKey, sign, verify } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { DerReader } from './der/read.js';
import { der } from './der/write.js';
import { encodePrivateKey, GENERATED_KEY_TYPES, generateKeyPair, readPrivateKey } from './generate-key.js';
import { checkKeyStrength } from './key-strength.js';
import { isKemKey, readPublicKey } from './public-key.js';
import { OID } from './oids.js';

/** The content of the privateKey OCTET STRING of a PKCS#8 structure. */
function innerKey(pkcs8: Buffer): Buffer {
  const info = DerReader.openSequence(pkcs8, 'test');
  info.skip();
  info.skip();
  return info.octetString();
}

describe('key pairs that the authority makes', () => {
  it.each(GENERATED_KEY_TYPES.filter((type) => type !== 'rsa-3072' && type !== 'rsa-4096'))(
    'of type %s are strong, survive PKCS#8, and belong together',
    async (keyType) => {
      const pair = await generateKeyPair(keyType);
      expect(pair.publicKey.keyType).toBe(keyType);
      expect(() => checkKeyStrength(pair.publicKey)).not.toThrow();
      const again = readPrivateKey(encodePrivateKey(pair.privateKey));
      expect(createPublicKey(again).export({ type: 'spki', format: 'der' })).toEqual(pair.publicKey.spki);
      if (isKemKey(keyType)) return;
      const digest = /^(ec|rsa)/.test(keyType) ? 'sha256' : null;
      const message = Buffer.from('message');
      expect(verify(digest, message, pair.publicKey.keyObject, sign(digest, message, again))).toBe(true);
    },
  );

  it.each([
    ['ml-dsa-44', 32],
    ['ml-dsa-65', 32],
    ['ml-dsa-87', 32],
    ['ml-kem-512', 64],
    ['ml-kem-768', 64],
    ['ml-kem-1024', 64],
  ] as const)('of type %s are written as their seed of %i octets alone (P53)', async (keyType, octets) => {
    const { privateKey } = await generateKeyPair(keyType);
    const inner = innerKey(encodePrivateKey(privateKey));
    expect(inner.subarray(0, 2)).toEqual(Buffer.of(0x80, octets));
    expect(inner).toHaveLength(2 + octets);
  });

  // The seeds 00, 01, 02, ... of the examples in RFC 9881 and RFC 9935, and SHA-256 of the public keys that stand there.
  it.each([
    ['ml-dsa-44', OID.mlDsa44, 32, '837832708c5236d951581f1fddf2b79991b3424a0486d16da1ddad0fd69701be'],
    ['ml-dsa-65', OID.mlDsa65, 32, 'b8b62131bfbe84433efb2273d7f5b87f7a22854a2cfd366fc2aead86d837c52d'],
    ['ml-dsa-87', OID.mlDsa87, 32, '07e57c4f14dbad1267f621ec3777b4e2e6c4fbc4c22fbb87510ff8e0b3c6a642'],
    ['ml-kem-512', OID.mlKem512, 64, '0e3c8b89b54202d2545f7aba2e2aaa3cffa7b6191919ad738fab35b4f313cf71'],
    ['ml-kem-768', OID.mlKem768, 64, 'c23e23dd3d485a9256cda09358a4a286e00b373db10761eadf99f710649ca31c'],
    ['ml-kem-1024', OID.mlKem1024, 64, 'd2b7480ae006a14b37c1e8a8e45ea39022e32a9b1a7b90d594c84d869c6ac420'],
  ] as const)('of type %s are those of the RFC, from the same seed (P50, P52, P53)', (keyType, oid, octets, sha256) => {
    const seed = Buffer.from(Array.from({ length: octets }, (_, i) => i));
    const pkcs8 = der.sequence(der.integer(0), der.sequence(der.oid(oid)), der.octetString(der.primitive(0, seed)));
    const privateKey = readPrivateKey(pkcs8);
    const publicKey = readPublicKey(createPublicKey(privateKey).export({ type: 'spki', format: 'der' }));
    expect(publicKey.keyType).toBe(keyType);
    expect(publicKey.sha256.toString('hex')).toBe(sha256);
    expect(encodePrivateKey(privateKey)).toEqual(pkcs8);
  });

  it('are refused where seed and expanded key do not belong together, or are cut short (P53)', async () => {
    for (const [keyType, oid] of [
      ['ml-dsa-44', OID.mlDsa44],
      ['ml-kem-768', OID.mlKem768],
    ] as const) {
      const [one, other] = [await generateKeyPair(keyType), await generateKeyPair(keyType)];
      const expanded = (pair: typeof one): Buffer => {
        const both = DerReader.openSequence(innerKey(pair.privateKey.export({ type: 'pkcs8', format: 'der' })), 'test');
        both.skip();
        return both.octetString();
      };
      const seed = innerKey(encodePrivateKey(one.privateKey)).subarray(2);
      const pkcs8 = (inner: Buffer): Buffer =>
        der.sequence(der.integer(0), der.sequence(der.oid(oid)), der.octetString(inner));
      const both = (key: Buffer): Buffer => pkcs8(der.sequence(der.octetString(seed), der.octetString(key)));
      const malformed = expect.objectContaining({ kind: 'malformed' });
      expect(readPrivateKey(both(expanded(one))).equals(one.privateKey)).toBe(true);
      expect(readPrivateKey(pkcs8(der.octetString(expanded(one)))).type).toBe('private');
      expect(() => readPrivateKey(both(expanded(other)))).toThrow(malformed);
      expect(() => readPrivateKey(pkcs8(der.primitive(0, seed.subarray(1))))).toThrow(malformed);
    }
  });

  it('are not made for types that are only read', async () => {
    await expect(generateKeyPair('rsa-other')).rejects.toEqual(expect.objectContaining({ code: 'unsupportedKey' }));
    await expect(generateKeyPair('unknown')).rejects.toEqual(expect.objectContaining({ code: 'unsupportedKey' }));
  });
});
