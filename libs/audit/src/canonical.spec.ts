import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson, type CanonicalValue } from './canonical.js';

const SEED = 8785;

describe('the canonical form (RFC 8785)', () => {
  test('sorts members by UTF-16 code units at every depth, and writes no white space', () => {
    // The example of RFC 8785 section 3.2.3; U+1F600 begins with a surrogate and so sorts before U+FB33.
    const value = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '\ud83d\ude00': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    };
    const names = [...canonicalJson(value).matchAll(/"([^"]+)":/g)].map(
      (match) => JSON.parse(`"${match[1]}"`) as string,
    );
    expect(names).toEqual(['\r', '1', '\u0080', '\u00f6', '\u20ac', '\ud83d\ude00', '\ufb33']);
    expect(canonicalJson({ b: [{ d: 1, c: null }], a: true })).toBe('{"a":true,"b":[{"c":null,"d":1}]}');
  });

  test('writes control characters as section 3.2.2.2 does', () => {
    expect(canonicalJson('\u20ac$\u000f\nA\'B"\\"/')).toBe('"\u20ac$\\u000f\\nA\'B\\"\\\\\\"/"');
  });

  test('leaves absent members out and keeps null', () => {
    expect(canonicalJson({ a: undefined, b: null })).toBe('{"b":null}');
  });

  test('does not depend on the order in which members were written, and is read back as it was', () => {
    const values: fc.Arbitrary<CanonicalValue> = fc.letrec<{ value: CanonicalValue }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.string(),
        fc.boolean(),
        fc.constant(null),
        fc.maxSafeInteger().map((n) => n + 0),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.dictionary(fc.string(), tie('value'), { maxKeys: 5 }),
      ),
    })).value;
    const shuffled = (value: CanonicalValue): CanonicalValue => {
      if (value === null || typeof value !== 'object') return value;
      if (Array.isArray(value)) return (value as CanonicalValue[]).map(shuffled);
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([name, member]) => [name, member === undefined ? member : shuffled(member)]),
      );
    };
    fc.assert(
      fc.property(values, (value) => {
        const text = canonicalJson(value);
        expect(canonicalJson(shuffled(value))).toBe(text);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
      { seed: SEED },
    );
  });

  test.each([1.5, Number.MAX_SAFE_INTEGER + 1, NaN, Infinity])(
    'refuses the number %p, which readers write differently',
    (number) => {
      expect(() => canonicalJson({ number })).toThrow(RangeError);
    },
  );
});
