import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { AuthorityError, ERROR_KINDS, isAuthorityError } from './errors.js';

test('the kinds of failure are this closed list', () => {
  expect([...ERROR_KINDS].sort()).toEqual([
    'conflict',
    'forbidden',
    'internal',
    'invalid',
    'limited',
    'malformed',
    'methodNotAllowed',
    'notFound',
    'tooLarge',
    'unauthenticated',
    'unavailable',
    'unsupportedType',
  ]);
});

test('every kind is a row of docs/errors.md, and every row there is a kind', () => {
  const text = readFileSync(path.join(import.meta.dirname, '../../../docs/errors.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `([a-zA-Z]+)` +\|/gm)].map((match) => match[1]);
  expect(rows.sort()).toEqual([...ERROR_KINDS].sort());
});

test('what caused an error is kept apart from what is told', () => {
  const cause = new Error('select * from secrets');
  const error = new AuthorityError('unavailable', 'try again', { cause, retryAfter: 2, member: 'm' });
  expect(error).toMatchObject({
    kind: 'unavailable',
    detail: 'try again',
    message: 'try again',
    retryAfter: 2,
    member: 'm',
  });
  expect(error.cause).toBe(cause);
  expect(error.message).not.toContain('select');
});

test('the code is the kind unless a narrower one is given', () => {
  expect(new AuthorityError('conflict', 'x').code).toBe('conflict');
  expect(new AuthorityError('conflict', 'x', { code: 'instanceIdTaken' }).code).toBe('instanceIdTaken');
});

test('an error is recognized by type and kind, not by its looks', () => {
  const error = new AuthorityError('notFound', 'x');
  expect(isAuthorityError(error)).toBe(true);
  expect(isAuthorityError(error, 'notFound')).toBe(true);
  expect(isAuthorityError(error, 'internal')).toBe(false);
  expect(isAuthorityError({ kind: 'notFound', detail: 'x', code: 'notFound' })).toBe(false);
  expect(isAuthorityError(undefined)).toBe(false);
});
