import { describe, expect, test } from '@jest/globals';
import { hash } from 'node:crypto';
import { decodeBase62, encodeBase62 } from './base62.js';

const SEED = 'base62-2024';

describe('base62', () => {
  test(`numbers of the given width come back, checked against BigInt (seed ${SEED})`, () => {
    for (const [bytes, length] of [
      [1, 2],
      [4, 6],
      [10, 14],
      [32, 43],
    ] as const) {
      for (let i = 0; i < 500; i++) {
        const value = hash('sha256', `${SEED}:${i}`, 'buffer').subarray(0, bytes);
        const text = encodeBase62(value, length);
        expect(text).toMatch(new RegExp(`^[0-9A-Za-z]{${length}}$`));
        expect(decodeBase62(text, bytes)).toEqual(value);
        expect(asBigInt(text)).toBe(BigInt(`0x${value.toString('hex')}`));
      }
    }
  });

  test('the smallest and largest values keep their width', () => {
    expect(encodeBase62(Buffer.alloc(32), 43)).toBe('0'.repeat(43));
    const most = Buffer.alloc(32, 0xff);
    expect(decodeBase62(encodeBase62(most, 43), 32)).toEqual(most);
  });

  test('a number one too large for its bytes is refused, never cut', () => {
    for (const [bytes, length] of [
      [4, 6],
      [10, 14],
      [32, 43],
    ] as const) {
      const wide = Buffer.concat([Buffer.from([1]), Buffer.alloc(bytes)]);
      expect(decodeBase62(encodeBase62(wide, length), bytes)).toBeUndefined();
      expect(decodeBase62('z'.repeat(length), bytes)).toBeUndefined();
    }
  });

  test('bytes that do not fit the width are an error of ours', () => {
    expect(() => encodeBase62(Buffer.from([0xff, 0xff]), 2)).toThrow(/do not fit/);
    expect(() => encodeBase62(Buffer.from([(62 * 62) >> 8, (62 * 62) & 255]), 2)).toThrow(/do not fit/);
  });

  test('characters outside 0-9A-Za-z are refused', () => {
    for (const text of ['_', '-', ' ', '\u0000', '\u0130', '/', ':', '@', '[', '`', '{', '😀']) {
      expect(decodeBase62(`00${text}0`, 10)).toBeUndefined();
    }
  });
});

function asBigInt(text: string): bigint {
  const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  let value = 0n;
  for (const character of text) value = value * 62n + BigInt(alphabet.indexOf(character));
  return value;
}
