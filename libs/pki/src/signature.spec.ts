import { constants, createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { der } from './der/write.js';
import { OID } from './oids.js';
import { signatureAlgorithm, signatureDigest, signBytes, verifyBytes } from './signature.js';
import { generateKey, SIGNING_KEY_TYPES } from './testing/issuing.js';

const MESSAGE = Buffer.from('to be signed');
const keys = Object.fromEntries(SIGNING_KEY_TYPES.map((type) => [type, generateKey(type)])) as Record<
  (typeof SIGNING_KEY_TYPES)[number],
  ReturnType<typeof generateKey>
>;

const numberOf = (member: string | undefined): bigint =>
  BigInt(`0x${Buffer.from(member ?? '', 'base64url').toString('hex')}`);
const memberOf = (number: bigint): string => {
  const hex = number.toString(16);
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex').toString('base64url');
};

function inverse(value: bigint, modulus: bigint): bigint | undefined {
  let [a, b, x, y] = [value % modulus, modulus, 1n, 0n];
  while (a !== 0n) [a, b, x, y] = [b % a, a, y - (b / a) * x, x];
  return b === 1n ? ((y % modulus) + modulus) % modulus : undefined;
}

/** The same primes under the first odd exponent from this one on that fits them. */
function withExponent(key: KeyObject, exponent: bigint): KeyObject {
  const jwk = key.export({ format: 'jwk' });
  const [p, q] = [numberOf(jwk.p) - 1n, numberOf(jwk.q) - 1n];
  const d = inverse(exponent, p * q);
  if (d === undefined) return withExponent(key, exponent + 2n);
  const numbers = { e: memberOf(exponent), d: memberOf(d), dp: memberOf(d % p), dq: memberOf(d % q) };
  return createPrivateKey({ key: { ...jwk, ...numbers }, format: 'jwk' });
}

describe('signatures', () => {
  it.each(SIGNING_KEY_TYPES)('of %s verify, and only over the same bytes with the same key', (keyType) => {
    const { privateKey, publicKey } = keys[keyType];
    const algorithm = signatureAlgorithm(keyType).der;
    const signature = signBytes(keyType, privateKey, MESSAGE);
    expect(verifyBytes(algorithm, publicKey.keyObject, MESSAGE, signature)).toBe(true);
    expect(verifyBytes(algorithm, publicKey.keyObject, Buffer.from('to be signeD'), signature)).toBe(false);
    expect(verifyBytes(algorithm, generateKey(keyType).publicKey.keyObject, MESSAGE, signature)).toBe(false);
    expect(verifyBytes(algorithm, publicKey.keyObject, MESSAGE, signature.subarray(1))).toBe(false);
    expect(verifyBytes(algorithm, publicKey.keyObject, MESSAGE, Buffer.alloc(0))).toBe(false);
  });

  it('by RSA keys with an exponent that takes long are not taken, whoever made them', () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const algorithm = signatureAlgorithm('rsa-2048').der;
    const taken = (exponent: bigint): boolean => {
      const key = withExponent(privateKey, exponent);
      return verifyBytes(algorithm, createPublicKey(key), MESSAGE, sign('sha256', MESSAGE, key));
    };
    expect([(1n << 32n) + 1n, (1n << 33n) + 1n, (1n << 2000n) + 1n].map(taken)).toEqual([true, false, false]);
  });

  it('verify under no other algorithm than the one named', () => {
    for (const signer of SIGNING_KEY_TYPES) {
      const signature = signBytes(signer, keys[signer].privateKey, MESSAGE);
      const own = signatureAlgorithm(signer).der;
      for (const other of SIGNING_KEY_TYPES) {
        const named = signatureAlgorithm(other).der;
        if (!named.equals(own)) {
          expect(verifyBytes(named, keys[signer].publicKey.keyObject, MESSAGE, signature)).toBe(false);
        }
      }
    }
  });

  it.each([
    ['ec-p256', 'sha256'],
    ['ec-p384', 'sha384'],
    ['ec-p521', 'sha512'],
    ['rsa-2048', 'sha256'],
    ['ed25519', null],
    ['ml-dsa-44', null],
  ] as const)('of %s use %s', (keyType, digest) => {
    expect(signatureAlgorithm(keyType).digest).toBe(digest);
    expect(signatureDigest(signatureAlgorithm(keyType).der)).toBe(digest);
  });

  it('carry NULL parameters with RSA and none with ECDSA, Ed25519 and ML-DSA (RFC 4055, 5758, 8410, 9881)', () => {
    expect(signatureAlgorithm('rsa-2048').der.toString('hex')).toBe('300d06092a864886f70d01010b0500');
    expect(signatureAlgorithm('ec-p256').der.toString('hex')).toBe('300a06082a8648ce3d040302');
    expect(signatureAlgorithm('ed25519').der.toString('hex')).toBe('300506032b6570');
    expect(signatureAlgorithm('ml-dsa-65').der.toString('hex')).toBe('300b0609608648016503040312');
  });

  it('with wrong parameters are not taken', () => {
    const { privateKey, publicKey } = keys['ec-p256'];
    const withNull = der.sequence(der.oid(OID.ecdsaWithSha256), der.null());
    expect(verifyBytes(withNull, publicKey.keyObject, MESSAGE, signBytes('ec-p256', privateKey, MESSAGE))).toBe(false);
    expect(signatureDigest(withNull)).toBeUndefined();
  });

  it('with SHA-1 or MD5 are not taken, SHA-1 only where it is asked for (EX09)', () => {
    const { privateKey, publicKey } = keys['rsa-2048'];
    const sha1 = der.sequence(der.oid(OID.sha1WithRSAEncryption), der.null());
    const md5 = der.sequence(der.oid('1.2.840.113549.1.1.4'), der.null());
    const signature = sign('sha1', MESSAGE, privateKey);
    expect(verifyBytes(sha1, publicKey.keyObject, MESSAGE, signature)).toBe(false);
    expect(verifyBytes(sha1, publicKey.keyObject, MESSAGE, signature, { allowSha1: true })).toBe(true);
    expect(verifyBytes(md5, publicKey.keyObject, MESSAGE, sign('md5', MESSAGE, privateKey), { allowSha1: true })).toBe(
      false,
    );
  });

  it('with RSASSA-PSS verify under the parameters of RFC 4055 3.1', () => {
    const { privateKey, publicKey } = keys['rsa-2048'];
    const hash = der.sequence(der.oid(OID.sha256), der.null());
    const algorithm = (salt: number): Buffer =>
      der.sequence(
        der.oid(OID.rsassaPss),
        der.sequence(
          der.constructed(0, hash),
          der.constructed(1, der.sequence(der.oid(OID.mgf1), hash)),
          der.constructed(2, der.integer(salt)),
        ),
      );
    const signature = sign('sha256', MESSAGE, {
      key: privateKey,
      padding: constants.RSA_PKCS1_PSS_PADDING,
      saltLength: 32,
    });
    expect(verifyBytes(algorithm(32), publicKey.keyObject, MESSAGE, signature)).toBe(true);
    expect(verifyBytes(algorithm(20), publicKey.keyObject, MESSAGE, signature)).toBe(false);
  });

  it('are not made with keys of unknown type', () => {
    expect(() => signatureAlgorithm('unknown')).toThrow(expect.objectContaining({ kind: 'invalid' }));
  });
});
