import { describe, expect, test } from '@jest/globals';
import { brokenUnique, isRetryable, toAuthorityError } from './failure.js';

const failure = (code: string, rest: object = {}) => Object.assign(new Error('secret text'), { code, ...rest });

describe('a failure of the database is', () => {
  test.each(['40001', '40P01'])('run again: %s, also wrapped', (code) => {
    expect(isRetryable(failure(code))).toBe(true);
    expect(isRetryable({ driverError: failure(code) })).toBe(true);
  });

  test.each(['23505', '57P01', undefined])('not run again: %s', (code) => {
    expect(isRetryable(code === undefined ? undefined : failure(code))).toBe(false);
  });

  test.each(['ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EPIPE', '08006', '57P01', '57P03', '53300', '55P03', '57014'])(
    '"unavailable" with a time to retry: %s',
    (code) => {
      expect(toAuthorityError(failure(code))).toMatchObject({ kind: 'unavailable', retryAfter: 2 });
    },
  );

  test.each([
    'Connection terminated unexpectedly',
    'timeout exceeded when trying to connect',
    'Client was closed and is not queryable',
  ])('"unavailable" by its text: %s', (text) => {
    expect(toAuthorityError(new Error(text))).toMatchObject({ kind: 'unavailable' });
  });

  test.each(['42501', '22P02', '23514', '42P01', '28P01'])(
    '"internal" otherwise, with nothing of its text: %s',
    (code) => {
      const error = toAuthorityError(failure(code));
      expect(error).toMatchObject({ kind: 'internal' });
      expect(error.detail).not.toContain('secret text');
      expect(error.cause).toBeInstanceOf(Error);
    },
  );
});

test('a broken unique constraint is named, and nothing else is one', () => {
  expect(brokenUnique(failure('23505', { constraint: 'serials_pkey' }))).toBe('serials_pkey');
  expect(brokenUnique({ driverError: failure('23505', { constraint: 'x' }) })).toBe('x');
  expect(brokenUnique(failure('23503', { constraint: 'x' }))).toBeUndefined();
  expect(brokenUnique(null)).toBeUndefined();
});
