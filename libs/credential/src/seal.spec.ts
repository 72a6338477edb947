import { describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { makeBoxKeys, openBox, sealToBox } from './box.js';
import { answerKey, open, seal } from './seal.js';

const sealBroken = expect.objectContaining({ kind: 'internal', code: 'sealBroken' });
const aad = Buffer.from('aad');

describe('seal', () => {
  test('opens what was sealed outside this code (format stability)', () => {
    const sealed = Buffer.from('030303030303030303030303a1f88a1b3ba9f327892a848ec3e5ef9611643f5ca2', 'hex');
    expect(open(Buffer.alloc(32, 9), sealed, aad).toString()).toBe('plain');
  });

  test('round trip at every small size and at one megabyte, 28 bytes longer than the plain text', () => {
    const key = randomBytes(32);
    for (const size of [0, 1, 15, 16, 17, 32, 1_000_000]) {
      const plain = randomBytes(size);
      const sealed = seal(key, plain, aad);
      expect(sealed).toHaveLength(size + 28);
      expect(open(key, sealed, aad).equals(plain)).toBe(true);
    }
  });

  test('another key or other associated data does not open', () => {
    const key = randomBytes(32);
    const sealed = seal(key, Buffer.from('plain'), aad);
    expect(() => open(randomBytes(32), sealed, aad)).toThrow(sealBroken);
    expect(() => open(key, sealed, Buffer.from('aae'))).toThrow(sealBroken);
    expect(() => open(key, sealed, Buffer.alloc(0))).toThrow(sealBroken);
    expect(() => open(key, Buffer.alloc(0), aad)).toThrow(sealBroken);
  });

  test('a key of the wrong size is refused before anything is sealed', () => {
    expect(() => seal(randomBytes(16), Buffer.from('plain'), aad)).toThrow(/32 bytes, not 16/);
    expect(() => open(randomBytes(31), randomBytes(64), aad)).toThrow(/32 bytes, not 31/);
  });
});

describe('box', () => {
  test('opens what was sealed outside this code (format stability)', () => {
    const sealed = Buffer.from(
      'ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59' +
        '030303030303030303030303e727aec9b7704a93d26657dd7b2b2e733385b6fd',
      'hex',
    );
    expect(openBox(Buffer.alloc(32, 1), sealed, aad).toString()).toBe('root');
  });

  test('only the private key opens; keys are 32 raw bytes and two seals differ', () => {
    const { publicKey, privateKey } = makeBoxKeys();
    expect([publicKey.length, privateKey.length]).toEqual([32, 32]);
    const plain = randomBytes(32);
    const sealed = sealToBox(publicKey, plain, aad);
    expect(openBox(privateKey, sealed, aad)).toEqual(plain);
    expect(sealToBox(publicKey, plain, aad)).not.toEqual(sealed);
    expect(() => openBox(publicKey, sealed, aad)).toThrow(sealBroken);
    expect(() => openBox(makeBoxKeys().privateKey, sealed, aad)).toThrow(sealBroken);
    expect(() => openBox(privateKey, sealed, Buffer.from('another row'))).toThrow(sealBroken);
  });

  test('every altered or missing byte is noticed, the ephemeral key included', () => {
    const { publicKey, privateKey } = makeBoxKeys();
    const sealed = sealToBox(publicKey, randomBytes(32), aad);
    for (let at = 0; at < sealed.length; at++) {
      const altered = Buffer.from(sealed);
      altered[at] = (altered[at] ?? 0) ^ 1;
      expect(() => openBox(privateKey, altered, aad)).toThrow(sealBroken);
      expect(() => openBox(privateKey, sealed.subarray(0, at), aad)).toThrow(sealBroken);
    }
  });

  test('a point of low order is refused (RFC 7748 section 6.1)', () => {
    const { privateKey } = makeBoxKeys();
    expect(() => openBox(privateKey, Buffer.alloc(92), aad)).toThrow(sealBroken);
    expect(() => sealToBox(Buffer.alloc(32), Buffer.from('x'), aad)).toThrow(sealBroken);
    expect(() => sealToBox(Buffer.alloc(31), Buffer.from('x'), aad)).toThrow(/32 bytes, not 31/);
  });
});

describe('answer key', () => {
  test('is bound to the Idempotency-Key, the caller and the salt', () => {
    const salt = Buffer.from('salt');
    const key = answerKey('idem-1', 'op-1', salt);
    expect(key.toString('hex')).toBe('c62f45674c8d7419d09f5505718b205b6324fead713b21c38e2eeeba45500857');
    expect(answerKey('idem-1', 'op-1', salt)).toEqual(key);
    expect(answerKey('idem-2', 'op-1', salt)).not.toEqual(key);
    expect(answerKey('idem-1', 'op-2', salt)).not.toEqual(key);
    expect(answerKey('idem-1', 'op-1', Buffer.from('other'))).not.toEqual(key);
  });
});
