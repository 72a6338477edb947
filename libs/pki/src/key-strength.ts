import { AuthorityError, isAuthorityError } from '#kernel';
import { isDebianModulus } from './debian-keys.js';
import { DerReader } from './der/read.js';
import { TAG } from './der/tags.js';
import { isSmallOrderPoint } from './edwards-point.js';
import { OID } from './oids.js';
import { CURVES, isKemKey, readRsaKey, type SubjectPublicKey } from './public-key.js';
import { hasClosePrimes, isRocaModulus, smallestPrimeDivisor } from './rsa-modulus.js';

/** Raised with every rule that is added: certificates that there are, are held against it then. */
export const KEY_STRENGTH_RULES = 1;

const RSA_BITS: readonly number[] = [2048, 3072, 4096];
const LEAST_EXPONENT = 65_537n;
/** Go (crypto/rsa) and others read the exponent into 31 bits and refuse a certificate that has a longer one. */
const EXPONENT_LIMIT = 1n << 31n;

const weak = (problem: string): AuthorityError => new AuthorityError('invalid', problem, { code: 'weakKey' });

/** Found strong before: a request is judged when it is read, when it is decided about and when its certificate is linted. */
const strong = new WeakSet<SubjectPublicKey>();

/**
 * Refuses keys that must not be certified (E73, EX10). Throws AuthorityError 'invalid', code 'weakKey': RSA of another size than 2048,
 * 3072 or 4096 bits, with an exponent that is even, below 65537 or above 31 bits, with a modulus that has small factors, close primes,
 * the ROCA form or stands in the lists of Debian's keys; EC on an unknown curve, off its curve, compressed or at infinity; Ed25519 of
 * small order. Code 'unsupportedKey' for other algorithms; 'malformed' for values that are no key at all.
 */
export function checkKeyStrength(key: SubjectPublicKey): void {
  if (strong.has(key)) return;
  const info = DerReader.openSequence(key.spki, 'public key');
  const algorithm = info.sequence();
  const oid = algorithm.oid();
  const bits = info.wholeBitString();
  if (oid === OID.rsaEncryption) checkRsa(bits);
  else if (oid === OID.ecPublicKey) checkPoint(key, algorithm, bits);
  else if (oid === OID.ed25519) checkEdwards(bits);
  else if (key.keyType === 'unknown') {
    throw new AuthorityError(
      'invalid',
      'the key algorithm is not supported; use EC P-256, P-384 or P-521, RSA, Ed25519, ML-DSA or ML-KEM',
      { code: 'unsupportedKey' },
    );
  } else if (isKemKey(key.keyType)) checkKem(key);
  void key.keyObject;
  strong.add(key);
}

function checkRsa(bits: Buffer): void {
  const { modulus, exponent } = readRsaKey(bits);
  const length = modulus.toString(2).length;
  if (!RSA_BITS.includes(length)) throw weak(`the RSA key has ${length} bits; use 2048, 3072 or 4096`);
  checkExponent(exponent);
  if (smallestPrimeDivisor(modulus) !== undefined)
    throw weak('the RSA modulus is divisible by a small prime; make a new key');
  if (isRocaModulus(modulus))
    throw weak('the RSA key has the form of a flawed generator (ROCA, CVE-2017-15361); make a new key elsewhere');
  if (isDebianModulus(modulus))
    throw weak("the RSA key is one of those that Debian's OpenSSL made until 2008 (CVE-2008-0166); make a new key");
  if (hasClosePrimes(modulus))
    throw weak('the primes of the RSA key are too near each other; make a new key with another generator');
}

function checkExponent(exponent: bigint): void {
  if (exponent === 1n) throw weak('the RSA exponent is 1: its signatures prove nothing; use 65537');
  if (exponent % 2n === 0n) throw weak('the RSA exponent is even: there is no such key; use 65537');
  if (exponent < LEAST_EXPONENT) throw weak(`the RSA exponent is ${exponent}, which is too small; use 65537`);
  if (exponent >= EXPONENT_LIMIT) throw weak('the RSA exponent has more than 31 bits; use 65537');
}

/** The cofactor of these curves is 1: but for infinity, every point on one has the order of its group. */
function checkPoint(key: SubjectPublicKey, algorithm: DerReader, bits: Buffer): void {
  const curve = algorithm.peekTag() === TAG.oid ? CURVES.get(algorithm.oid()) : undefined;
  if (curve === undefined)
    throw weak('the EC key is on a curve that is not supported; use P-256, P-384 or P-521 by name');
  if (bits.length === 1 && bits[0] === 0x00) throw weak('the EC point is at infinity, which is no key; make a new one');
  if (bits[0] !== 0x04 || bits.length !== 1 + 2 * curve.octets) {
    throw weak('the EC point is compressed or of the wrong size; send it uncompressed (04, x, y)');
  }
  requireOpen(key, 'the EC point is not on its curve; make a new key');
}

function checkEdwards(bits: Buffer): void {
  if (isSmallOrderPoint(bits)) throw weak('the Ed25519 key is a point of small order, which is no key; make a new one');
}

/** FIPS 203 section 7.2: every coefficient lies below the modulus. */
function checkKem(key: SubjectPublicKey): void {
  requireOpen(key, 'the ML-KEM key has coefficients that do not exist; make a new key');
}

function requireOpen(key: SubjectPublicKey, problem: string): void {
  try {
    void key.keyObject;
  } catch (error) {
    throw isAuthorityError(error) ? weak(problem) : error;
  }
}
