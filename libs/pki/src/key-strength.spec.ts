import { checkPrimeSync, generateKeyPairSync, generatePrimeSync, randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { isDebianModulus } from './debian-keys.js';
import { DerReader } from './der/read.js';
import { der } from './der/write.js';
import { checkKeyStrength } from './key-strength.js';
import { OID } from './oids.js';
import { parsePublicKey } from './public-key.js';
import { hasClosePrimes, isRocaModulus, smallestPrimeDivisor } from './rsa-modulus.js';
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

const errorOf = (spki: Buffer): string => {
  try {
    checkKeyStrength(parsePublicKey(spki));
    return 'accepted';
  } catch (error) {
    const { kind, code } = error as { kind: string; code: string };
    return `${kind}/${code}`;
  }
};

/** The points of order 1, 2, 4 and 8 of edwards25519 (y, little-endian, some with the sign of x), and two of their longer spellings. */
const SMALL_ORDER = [
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
].map((hex) => Buffer.from(hex, 'hex'));

/** A modulus of a 2048-bit key that a Debian system made in 2007: the example of the package openssl-blacklist. */
const DEBIAN = BigInt(
  '0xd33c5d6e98b0ea4eab76a60d6a0a7b9c5983c58c0aa1d3c3796958169f27027bac81253fa579c482e884a2e1cef0ca81' +
    '3ec8359e9610d29473ca36d63c1e81a0101a481a3cff58610e8ea72a2a158267d66f4da2866928a23d46e021c5442fdf' +
    '9e4add6bc5367d3f7722610929511310836e7a77d608b7f191f82419be1187eca184f06651c448ea90478813eb6dc9be' +
    '53fc6669d31cab638a3f3063d13ccada5b4afa231dcef95486ed5d2d718c30e0ce4ada2ffde1816003f09d183a25ccb2' +
    '874a57039500e4b6500bab7cd435dc301d19f2c256ae4f837dd2de630e88a652a87c1f2a444224503da97dc3eebbc793' +
    'e6e5beec631c1ed2788fcb1da10e0af7',
);

const prime = (from: bigint): bigint => {
  let candidate = from | 1n;
  while (!checkPrimeSync(candidate)) candidate += 2n;
  return candidate;
};
const weak = (modulus: bigint): string => errorOf(rsaSpki(modulus, 65537n));

describe('the strength of keys', () => {
  it.each([...SIGNING_KEY_TYPES, 'ml-kem-512', 'ml-kem-768', 'ml-kem-1024'] as const)('%s is enough', (keyType) => {
    expect(errorOf(generateKey(keyType).publicKey.spki)).toBe('accepted');
  });

  const rsa2048 = modulusOf(generateKey('rsa-2048').publicKey.spki);
  const mangled = Buffer.from(p256.spki);
  mangled[mangled.length - 1] = (mangled[mangled.length - 1] as number) ^ 1;

  it.each([
    ['RSA 1024', exported(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey), 'invalid/weakKey'],
    ['RSA 2047 bits', rsaSpki((rsa2048 >> 1n) | 1n, 65537n), 'invalid/weakKey'],
    ['RSA 4097 bits', rsaSpki((1n << 4096n) | 1n, 65537n), 'invalid/weakKey'],
    ['RSA 2432 bits', rsaSpki(2n ** 2431n + 165n, 65537n), 'invalid/weakKey'],
    ['RSA with exponent 3', rsaSpki(rsa2048, 3n), 'invalid/weakKey'],
    ['RSA with exponent 65535', rsaSpki(rsa2048, 65535n), 'invalid/weakKey'],
    ['RSA with an even exponent', rsaSpki(rsa2048, 65538n), 'invalid/weakKey'],
    ['RSA with an exponent of 32 bits', rsaSpki(rsa2048, 2n ** 31n + 1n), 'invalid/weakKey'],
    ['RSA with an exponent as long as its modulus', rsaSpki(rsa2048, rsa2048 - 2n), 'invalid/weakKey'],
    ['RSA with exponent 1', rsaSpki(rsa2048, 1n), 'invalid/weakKey'],
    ['RSA with an even modulus', rsaSpki(rsa2048 - 1n, 65537n), 'invalid/weakKey'],
    ['RSA with a small factor', rsaSpki(rsa2048 - (rsa2048 % 334n) + 167n, 65537n), 'invalid/weakKey'],
    ['RSA with a negative modulus', rsaSpki(-rsa2048, 65537n), 'malformed/malformed'],
    ['EC on secp256k1', exported(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey), 'invalid/weakKey'],
    ['EC on P-224', exported(generateKeyPairSync('ec', { namedCurve: 'secp224r1' }).publicKey), 'invalid/weakKey'],
    ['EC off its curve', mangled, 'invalid/weakKey'],
    ['EC at infinity', ecSpki(OID.secp256r1, Buffer.of(0)), 'invalid/weakKey'],
    [
      'EC compressed',
      ecSpki(
        OID.secp256r1,
        Buffer.concat([Buffer.of(2 + ((p256.spki.at(-1) as number) & 1)), point(p256.spki).subarray(1, 33)]),
      ),
      'invalid/weakKey',
    ],
    ['EC cut short', ecSpki(OID.secp256r1, point(p256.spki).subarray(0, 64)), 'invalid/weakKey'],
    [
      'EC with explicit parameters',
      exported(generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' }).publicKey),
      'invalid/weakKey',
    ],
    [
      'Ed25519 of 31 octets',
      der.sequence(der.sequence(der.oid(OID.ed25519)), der.bitString(Buffer.alloc(31))),
      'malformed/weakKey',
    ],
    [
      'Ed25519 with parameters',
      der.sequence(der.sequence(der.oid(OID.ed25519), der.null()), der.bitString(Buffer.alloc(32))),
      'malformed/malformed',
    ],
    [
      'ML-DSA cut short',
      der.sequence(der.sequence(der.oid(OID.mlDsa44)), der.bitString(Buffer.alloc(1311))),
      'malformed/weakKey',
    ],
    [
      'ML-DSA-65 of an octet too many',
      der.sequence(der.sequence(der.oid(OID.mlDsa65)), der.bitString(Buffer.alloc(1953))),
      'malformed/weakKey',
    ],
    [
      'ML-KEM with coefficients above the modulus',
      der.sequence(der.sequence(der.oid(OID.mlKem768)), der.bitString(Buffer.alloc(1184, 0xff))),
      'invalid/weakKey',
    ],
    ...SMALL_ORDER.map((y): [string, Buffer, string] => [
      `Ed25519 of small order, y = ${y.toString('hex').slice(0, 8)}...`,
      der.sequence(der.sequence(der.oid(OID.ed25519)), der.bitString(y)),
      'invalid/weakKey',
    ]),
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
    expect(errorOf(spki)).toBe(expected);
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

  it('of RSA keys with close primes is none, whatever their distance within reach (E73, EX10)', () => {
    const p = generatePrimeSync(1024, { bigint: true });
    for (const distance of [2n, 2n ** 500n]) expect(weak(p * prime(p + distance))).toBe('invalid/weakKey');
    expect(weak(p * p)).toBe('invalid/weakKey');
    expect(hasClosePrimes(p * (p + 2n ** 1000n))).toBe(false);
  });

  it('is judged in less than 5 ms, primes near each other or not', () => {
    let apart = BigInt(`0x${randomBytes(512).toString('hex')}`) | (1n << 4095n) | 1n;
    while (smallestPrimeDivisor(apart) !== undefined) apart += 2n;
    const key = (modulus: bigint) => parsePublicKey(rsaSpki(modulus, 65537n));
    checkKeyStrength(key(apart));
    const keys = Array.from({ length: 20 }, () => key(apart));
    const before = process.cpuUsage();
    for (const one of keys) checkKeyStrength(one);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000 / keys.length).toBeLessThan(5);
  });

  it('of the keys of Debian until 2008 is none (E73, CVE-2008-0166)', () => {
    expect(isDebianModulus(DEBIAN)).toBe(true);
    expect(weak(DEBIAN)).toBe('invalid/weakKey');
    expect(isDebianModulus(DEBIAN + 2n)).toBe(false);
    expect(isDebianModulus(rsa2048)).toBe(false);
  });

  it('says what to do', () => {
    const text = (modulus: bigint, exponent: bigint) => () =>
      checkKeyStrength(parsePublicKey(rsaSpki(modulus, exponent)));
    expect(text(rsa2048, 3n)).toThrow(/use 65537/);
    expect(text(DEBIAN, 65537n)).toThrow(/make a new key/);
    expect(text(2n ** 1023n + 1n, 65537n)).toThrow(/use 2048, 3072 or 4096/);
  });
});
