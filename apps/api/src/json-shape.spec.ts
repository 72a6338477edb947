import { describe, expect, test } from '@jest/globals';
import { checkJsonShape } from './json-shape.js';

const MIB = 1024 * 1024;

describe('the shape of a JSON body', () => {
  test.each([
    ['what has brackets and commas in its strings', JSON.stringify({ a: '[{,'.repeat(60_000), b: '\\"[\\\\' })],
    ['an escaped quote before brackets', `{"a":"\\\\\\"${'['.repeat(50)}"}`],
    ['as many elements as a small body has room for', `[${'1,'.repeat(32_000)}1]`],
    ['as deep as is taken', '['.repeat(32) + ']'.repeat(32)],
    ['a string without an end, which is for the parser', `{"a":"${'['.repeat(50)}`],
  ])('is taken: %s', (_, text) => {
    expect(() => checkJsonShape(text)).not.toThrow();
  });

  test.each([
    ['one deeper', '['.repeat(33) + ']'.repeat(33)],
    ['objects', '{"a":'.repeat(33) + '1' + '}'.repeat(33)],
    ['behind a string that ends with a backslash', `["\\\\",${'['.repeat(40)}`],
    ['too many elements', `[${'1,'.repeat(50_001)}1]`],
    ['too many objects', `[${'{},'.repeat(30_000)}1]`],
  ])('is refused: %s', (_, text) => {
    expect(() => checkJsonShape(text)).toThrow(expect.objectContaining({ kind: 'malformed' }));
  });

  test('is known in time that grows no faster than the body', () => {
    const began = performance.now();
    for (const text of [`"${'\\'.repeat(2 * MIB)}"`, `"${'\\"'.repeat(MIB)}"`, ' '.repeat(2 * MIB)]) {
      checkJsonShape(text);
    }
    expect(performance.now() - began).toBeLessThan(5000);
  });
});
