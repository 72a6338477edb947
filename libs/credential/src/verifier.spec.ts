import { describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { openVerifier, sealContext, sealVerifier, verifierHash, verifierMatches } from './verifier.js';
import { mintApiKey } from './text.js';
import type { Credential } from './text.js';

const SECRET = Buffer.from('101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f', 'hex');
const ID = '000M9ODf6X0ft3';
const pepper = { version: 1, key: randomBytes(32) };
const sealBroken = expect.objectContaining({ kind: 'internal', code: 'sealBroken' });

describe('verifier', () => {
  test('known credentials have known hashes (format stability, computed outside this code)', () => {
    const hashOf = (kind: Credential['kind'], environment: Credential['environment']) =>
      verifierHash({ kind, environment, id: ID, secret: SECRET }).toString('hex');
    expect(hashOf('apiKey', 'live')).toBe('a3445106d05d9bfc42baf98dcd1a6fb450b887eaaeea8920d7aa6bf591a4f160');
    expect(hashOf('apiKey', 'test')).toBe('11f605fe4c40c1cd4fbb6234a62efc9381b25da65b24f949b159a2fc155180ab');
    expect(hashOf('operatorToken', undefined)).toBe('c8371aabc86fddcd073e56671f000492ebf6625705a0f5d3e9a13ef18988425e');
    expect(hashOf('enrollmentSecret', undefined)).toBe(
      '93e52ce199813fbe248b67662d1f9d8a22dbbc73f7923d91d80aa07686531fe6',
    );
  });

  test('a sealed verifier opens in its own row and nowhere else', () => {
    const first = verifierHash(mintApiKey('live'));
    const second = verifierHash(mintApiKey('live'));
    const rowOne = sealContext('keyVerifier', { id: 'one', environment: 'live', releaseId: 'r' });
    const rowTwo = sealContext('keyVerifier', { id: 'two', environment: 'live', releaseId: 'r' });
    const sealedOne = sealVerifier(pepper, first, rowOne);
    const sealedTwo = sealVerifier(pepper, second, rowTwo);
    expect(openVerifier(pepper, sealedOne, rowOne)).toEqual(first);
    expect(openVerifier(pepper, sealedTwo, rowTwo)).toEqual(second);
    expect(() => openVerifier(pepper, sealedTwo, rowOne)).toThrow(sealBroken);
    expect(() => openVerifier(pepper, sealedOne, rowTwo)).toThrow(sealBroken);
  });

  test('another pepper, an altered, cut or planted value does not open', () => {
    const aad = sealContext('keyVerifier', { id: 'one' });
    const verifier = verifierHash(mintApiKey('test'));
    const sealed = sealVerifier(pepper, verifier, aad);
    expect(() => openVerifier({ version: 2, key: randomBytes(32) }, sealed, aad)).toThrow(sealBroken);
    for (let at = 0; at < sealed.length; at++) {
      const altered = Buffer.from(sealed);
      altered[at] = (altered[at] ?? 0) ^ 1;
      expect(() => openVerifier(pepper, altered, aad)).toThrow(sealBroken);
      expect(() => openVerifier(pepper, sealed.subarray(0, at), aad)).toThrow(sealBroken);
    }
    expect(() => openVerifier(pepper, verifier, aad)).toThrow(sealBroken);
    expect(() => openVerifier(pepper, sealVerifier(pepper, Buffer.from('short'), aad), aad)).toThrow(sealBroken);
  });

  test('sealing the same hash twice gives different bytes', () => {
    const aad = sealContext('keyVerifier', { id: 'one' });
    const verifier = randomBytes(32);
    expect(sealVerifier(pepper, verifier, aad)).not.toEqual(sealVerifier(pepper, verifier, aad));
  });

  test('only the very hash matches; an absent one never does, not even zeros', () => {
    const verifier = randomBytes(32);
    expect(verifierMatches(verifier, Buffer.from(verifier))).toBe(true);
    expect(verifierMatches(verifier, randomBytes(32))).toBe(false);
    expect(verifierMatches(verifier, verifier.subarray(1))).toBe(false);
    expect(verifierMatches(verifier, Buffer.alloc(0))).toBe(false);
    expect(verifierMatches(undefined, verifier)).toBe(false);
    expect(verifierMatches(undefined, Buffer.alloc(32))).toBe(false);
  });
});

describe('seal context', () => {
  test('the order in which fields are written does not matter, every name, value and kind does', () => {
    const context = sealContext('verifier', { id: 'a', env: 'b' });
    expect(sealContext('verifier', { env: 'b', id: 'a' })).toEqual(context);
    const others = [
      sealContext('root', { id: 'a', env: 'b' }),
      sealContext('verifier', { id: 'b', env: 'a' }),
      sealContext('verifier', { id: 'ab', env: '' }),
      sealContext('verifier', { id: 'a' }),
      sealContext('verifier', { id: 'a', env: 'b', more: '' }),
      sealContext('verifieri', { d: 'a', env: 'b' }),
    ];
    for (const other of others) expect(other).not.toEqual(context);
  });

  test('its bytes are stable', () => {
    expect(sealContext('verifier', { id: 'a' }).toString('hex')).toBe(
      '0000000e746f7563686d61726b3a7365616c0000000876657269666965720000000b0000000269640000000161',
    );
  });
});
