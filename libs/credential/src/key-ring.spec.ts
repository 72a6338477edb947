import { randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { KeyRing } from './key-ring.js';
import { open, reseal, seal } from './seal.js';

const one = { version: 1, key: randomBytes(32) };
const two = { version: 2, key: randomBytes(32) };
const aad = Buffer.from('row');
const plain = Buffer.from('value');

describe('the versions of a key', () => {
  test('a version that is only handed out opens, and seals nothing', () => {
    const ring = new KeyRing([one, { ...two, next: true }]);
    expect(ring.current.version).toBe(1);
    expect(open(one.key, seal(ring, plain, aad), aad)).toEqual(plain);
    expect(open(ring, seal(two.key, plain, aad), aad)).toEqual(plain);
  });

  test('the newest one in use seals, all of them open', () => {
    const ring = new KeyRing([one, two]);
    const sealed = seal(ring, plain, aad);
    expect(open(two.key, sealed, aad)).toEqual(plain);
    expect(() => open(one.key, sealed, aad)).toThrow();
    expect(open(ring, seal(one.key, plain, aad), aad)).toEqual(plain);
  });

  test('nothing else opens: another key, another row, an altered value', () => {
    const ring = new KeyRing([one, two]);
    const sealed = seal(ring, plain, aad);
    expect(() => open(ring, seal(randomBytes(32), plain, aad), aad)).toThrow(/does not open/);
    expect(() => open(ring, sealed, Buffer.from('other'))).toThrow(/does not open/);
    sealed[14]! ^= 1;
    expect(() => open(ring, sealed, aad)).toThrow(/does not open/);
  });

  test('what is sealed anew is under the newest one, once', () => {
    const ring = new KeyRing([one, two]);
    const renewed = reseal(ring, seal(one.key, plain, aad), aad)!;
    expect(open(two.key, renewed, aad)).toEqual(plain);
    expect(reseal(ring, renewed, aad)).toBeUndefined();
    expect(() => reseal(ring, seal(randomBytes(32), plain, aad), aad)).toThrow();
  });

  test('are replaced for everybody who has the ring, its map included', () => {
    const ring = new KeyRing([one]);
    const { byVersion } = ring;
    ring.replace([one, two]);
    expect(ring.current.version).toBe(2);
    expect([...byVersion.keys()]).toEqual([1, 2]);
  });

  test('a ring without a version in use, or with one twice, is none, and leaves the old one as it was', () => {
    const ring = new KeyRing([one]);
    expect(() => ring.replace([{ ...two, next: true }])).toThrow(/none of the versions/);
    expect(() => ring.replace([one, one])).toThrow(/twice/);
    expect(ring.current.version).toBe(1);
    expect(ring.byVersion.size).toBe(1);
  });

  test('say nothing when they are written down', () => {
    const ring = new KeyRing([one, two]);
    expect(JSON.stringify({ ring })).toBe('{"ring":{}}');
  });
});
