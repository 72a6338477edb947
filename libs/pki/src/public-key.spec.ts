import { createHash, generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { DerReader } from './der/read.js';
import { der } from './der/write.js';
import { OID } from './oids.js';
import { checkKeyStrength, parsePublicKey, readPublicKey } from './public-key.js';
import { isRocaModulus } from './rsa-modulus.js';
import { generateKey, SIGNING_KEY_TYPES } from './testing/issuing.js';

const rsaSpki = (modulus: bigint, exponent: bigint): Buffer =>
  der.sequence(
    der.sequence(der.oid(OID.rsaEncryption), der.null()),
    der.bitString(der.sequence(der.integer(modulus), der.integer(exponent))),
  );
const ecSpki = (curve: string, point: Buffer): Buffer =>
  der.sequence(der.sequence(der.oid(OID.ecPublicKey), der.oid(curve)), der.bitString(point));
const exported = (key: ReturnType<typeof generateKeyPairSync>['publicKey']): Buffer =>
  (key as unknown as { export(o: object): Buffer }).export({ format: 'der', type: 'spki' });

const { publicKey: p256 } = generateKey('ec-p256');
const point = (spki: Buffer): Buffer => spki.subarray(spki.length - 65);

function modulusOf(spki: Buffer): bigint {
  const info = DerReader.openSequence(spki, 'test');
  info.skip();
  return DerReader.openSequence(info.wholeBitString(), 'test').bigint();
}

const errorOf = (spki: Buffer): unknown => {
  try {
    checkKeyStrength(readPublicKey(spki));
    return 'accepted';
  } catch (error) {
    const { kind, code } = error as { kind: string; code: string };
    return `${kind}/${code}`;
  }
};

describe('public keys', () => {
  it.each(SIGNING_KEY_TYPES)('of type %s are recognised, and strong enough', (keyType) => {
    const { publicKey } = generateKey(keyType);
    expect(publicKey.keyType).toBe(keyType);
    expect(errorOf(publicKey.spki)).toBe('accepted');
  });

  it('have SHA-1 of the key bits as identifier and SHA-256 of the whole as fingerprint (RFC 5280 4.2.1.2)', () => {
    expect(p256.keyId).toEqual(createHash('sha1').update(point(p256.spki)).digest());
    expect(p256.sha256).toEqual(createHash('sha256').update(p256.spki).digest());
  });

  const rsa2048 = modulusOf(generateKey('rsa-2048').publicKey.spki);
  const mangled = Buffer.from(p256.spki);
  mangled[mangled.length - 1] = (mangled[mangled.length - 1] as number) ^ 1;

  it.each([
    ['RSA 1024', exported(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey), 'invalid/weakKey'],
    ['RSA 2047 bits', rsaSpki((rsa2048 >> 1n) | 1n, 65537n), 'invalid/weakKey'],
    ['RSA 4097 bits', rsaSpki((1n << 4096n) | 1n, 65537n), 'invalid/weakKey'],
    ['RSA with exponent 3', rsaSpki(rsa2048, 3n), 'invalid/weakKey'],
    ['RSA with exponent 1', rsaSpki(rsa2048, 1n), 'invalid/weakKey'],
    ['RSA with an even modulus', rsaSpki(rsa2048 - 1n, 65537n), 'invalid/weakKey'],
    ['RSA with a small factor', rsaSpki(rsa2048 - (rsa2048 % 334n) + 167n, 65537n), 'invalid/weakKey'],
    ['RSA with a negative modulus', rsaSpki(-rsa2048, 65537n), 'malformed/malformed'],
    ['EC on secp256k1', exported(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey), 'invalid/weakKey'],
    ['EC on P-224', exported(generateKeyPairSync('ec', { namedCurve: 'secp224r1' }).publicKey), 'invalid/weakKey'],
    ['EC off its curve', mangled, 'malformed/malformed'],
    ['EC at infinity', ecSpki(OID.secp256r1, Buffer.of(0)), 'malformed|invalid'],
    [
      'EC compressed',
      ecSpki(
        OID.secp256r1,
        Buffer.concat([Buffer.of(2 + ((p256.spki.at(-1) as number) & 1)), point(p256.spki).subarray(1, 33)]),
      ),
      'invalid/weakKey',
    ],
    ['EC cut short', ecSpki(OID.secp256r1, point(p256.spki).subarray(0, 64)), 'malformed/malformed'],
    [
      'EC with explicit parameters',
      exported(generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' }).publicKey),
      'invalid/weakKey',
    ],
    [
      'Ed25519 of 31 octets',
      der.sequence(der.sequence(der.oid(OID.ed25519)), der.bitString(Buffer.alloc(31))),
      'malformed/malformed',
    ],
    [
      'Ed25519 with parameters',
      der.sequence(der.sequence(der.oid(OID.ed25519), der.null()), der.bitString(Buffer.alloc(32))),
      'malformed/malformed',
    ],
    [
      'ML-DSA cut short',
      der.sequence(der.sequence(der.oid(OID.mlDsa44)), der.bitString(Buffer.alloc(1311))),
      'malformed/malformed',
    ],
    ['Ed448', exported(generateKeyPairSync('ed448').publicKey), 'invalid/unsupportedKey'],
    ['X25519', exported(generateKeyPairSync('x25519').publicKey), 'invalid/unsupportedKey'],
    [
      'an unknown algorithm',
      der.sequence(der.sequence(der.oid('1.2.3.4')), der.bitString(Buffer.alloc(9))),
      'invalid/unsupportedKey',
    ],
    ['trailing octets', Buffer.concat([p256.spki, Buffer.of(0)]), 'malformed/malformed'],
    ['no key', der.null(), 'malformed/malformed'],
  ])('%s is refused (E73, EX09, EX10)', (_, spki, expected) => {
    const found = errorOf(spki);
    if (expected === 'malformed|invalid') expect(String(found)).toMatch(/^(malformed|invalid)\//);
    else expect(found).toBe(expected);
  });

  it('of the ROCA form are told from sound ones (CVE-2017-15361)', () => {
    // Powers of 65537 modulo the product of the primes to 167 plus a multiple of it: what the flawed generator makes.
    const product = [
      2n,
      3n,
      5n,
      7n,
      11n,
      13n,
      17n,
      19n,
      23n,
      29n,
      31n,
      37n,
      41n,
      43n,
      47n,
      53n,
      59n,
      61n,
      67n,
      71n,
      73n,
      79n,
      83n,
      89n,
      97n,
      101n,
      103n,
      107n,
      109n,
      113n,
      127n,
      131n,
      137n,
      139n,
      149n,
      151n,
      157n,
      163n,
      167n,
    ].reduce((a, b) => a * b);
    const roca = (1n << 1900n) * product + (65537n ** 40n % product);
    expect(isRocaModulus(roca)).toBe(true);
    expect(isRocaModulus(rsa2048)).toBe(false);
    expect(errorOf(rsaSpki(roca, 65537n))).toBe('invalid/weakKey');
  });

  it('of unknown algorithms can be held without being opened', () => {
    const key = parsePublicKey(der.sequence(der.sequence(der.oid('1.2.3.4')), der.bitString(Buffer.alloc(9))));
    expect(key.keyType).toBe('unknown');
    expect(key.keyId).toHaveLength(20);
    expect(() => key.keyObject).toThrow(expect.objectContaining({ kind: 'malformed' }));
  });
});
