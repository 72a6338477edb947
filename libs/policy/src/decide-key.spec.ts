import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { addSeconds, AuthorityError } from '#kernel';
import {
  audienceIncludes,
  decideKeyExpiry,
  decideRetirement,
  decideSuccessorExpiry,
  USABLE_KEYS,
  type KeyAudience,
} from './decide-key.js';

const NOW = new Date('2026-03-01T12:00:00Z');
const DAY = 86_400;
const MAX = 398 * DAY;
const SEED = 20_260_301;

describe('the end of a new key', () => {
  test('is the latest allowed where none is wished: no key lives for ever', () => {
    expect(decideKeyExpiry(NOW, undefined, MAX)).toEqual(addSeconds(NOW, MAX));
  });

  test('is as wished up to and including the bound', () => {
    for (const wished of [addSeconds(NOW, 1), addSeconds(NOW, DAY), addSeconds(NOW, MAX)]) {
      expect(decideKeyExpiry(NOW, wished, MAX)).toEqual(wished);
    }
  });

  test.each([
    ['one millisecond past the bound', new Date(addSeconds(NOW, MAX).getTime() + 1), /at most 398 days/],
    ['now', NOW, /past/],
    ['yesterday', addSeconds(NOW, -DAY), /past/],
  ])('is refused at %s', (_, wished, text) => {
    const attempt = () => decideKeyExpiry(NOW, wished, MAX);
    expect(attempt).toThrow(AuthorityError);
    expect(attempt).toThrow(text);
  });
});

describe('rotation', () => {
  test('never lengthens the life of the old key, whatever the overlap', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX }), fc.integer({ min: 0, max: 10 * MAX }), (left, overlap) => {
        const expiresAt = addSeconds(NOW, left);
        const end = decideRetirement(NOW, expiresAt, overlap);
        expect(end <= expiresAt).toBe(true);
        expect(end >= NOW).toBe(true);
        expect(end <= addSeconds(NOW, overlap)).toBe(true);
      }),
      { seed: SEED },
    );
  });

  test('ends the old key at once with no overlap', () => {
    expect(decideRetirement(NOW, addSeconds(NOW, DAY), 0)).toEqual(NOW);
  });

  test('gives the successor the length of life its predecessor was made with, and never more than policy', () => {
    const made = (life: number) => ({ createdAt: addSeconds(NOW, -DAY), expiresAt: addSeconds(NOW, life - DAY) });
    expect(decideSuccessorExpiry(NOW, made(30 * DAY), MAX)).toEqual(addSeconds(NOW, 30 * DAY));
    expect(decideSuccessorExpiry(NOW, made(500 * DAY), MAX)).toEqual(addSeconds(NOW, MAX));
  });
});

describe('an audience includes', () => {
  const provider = { id: 'p1', country: 'US' };
  const table: [string, KeyAudience, boolean][] = [
    ['every provider, also one that came later', { audience: 'all', audienceValues: [] }, true],
    ['a provider it lists', { audience: 'providers', audienceValues: ['p0', 'p1'] }, true],
    ['no provider it does not list', { audience: 'providers', audienceValues: ['p0', 'p10'] }, false],
    ['nobody when the list is empty', { audience: 'providers', audienceValues: [] }, false],
    ['a provider of a country it lists', { audience: 'countries', audienceValues: ['DE', 'US'] }, true],
    ['no provider of another country', { audience: 'countries', audienceValues: ['DE'] }, false],
    ['no provider by its country among the ids', { audience: 'providers', audienceValues: ['US'] }, false],
  ];
  test.each(table)('%s', (_, key, expected) => {
    expect(audienceIncludes(key, provider)).toBe(expected);
  });

  test('no provider without a country, where countries are meant', () => {
    expect(audienceIncludes({ audience: 'countries', audienceValues: ['US'] }, { id: 'p', country: null })).toBe(false);
  });

  test('nobody when it is of a kind that is not known', () => {
    const odd = { audience: 'everyone', audienceValues: [] } as unknown as KeyAudience;
    expect(() => audienceIncludes(odd, provider)).toThrow(AuthorityError);
  });
});

test('a release has at most two usable keys: the current one and the retiring one', () => {
  expect(USABLE_KEYS).toBe(2);
});
