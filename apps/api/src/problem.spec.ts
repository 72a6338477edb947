import { describe, expect, it } from '@jest/globals';
import { AuthorityError, ERROR_KINDS } from '#kernel';
import { toProblem } from './problem.js';

const STATUS = {
  malformed: 400,
  invalid: 422,
  unauthenticated: 401,
  forbidden: 403,
  notFound: 404,
  conflict: 409,
  tooLarge: 413,
  unsupportedType: 415,
  methodNotAllowed: 405,
  limited: 429,
  unavailable: 503,
  internal: 500,
} as const;

describe('problem documents', () => {
  it.each(ERROR_KINDS)('%s has its own status, the same in document and answer (T14, T15)', (kind) => {
    const { status, problem, headers } = toProblem(new AuthorityError(kind, 'what is wrong', { member: 'name' }), 'r1');
    expect(status).toBe(STATUS[kind]);
    expect(problem.status).toBe(status);
    expect(problem.title).not.toBe('');
    expect(problem.type).toBe(`urn:touchmark:problem:${kind}`);
    expect(problem.instance).toBe('urn:touchmark:request:r1');
    expect(headers['cache-control']).toBe('no-store');
  });

  it('names a finer code and the member where there is one', () => {
    const { problem } = toProblem(new AuthorityError('malformed', 'x', { code: 'unknownMember', member: 'a.b' }), 'r');
    expect(problem).toMatchObject({ type: 'urn:touchmark:problem:unknownMember', member: 'a.b' });
  });

  it('tells nothing of what is ours (T16)', () => {
    for (const error of [
      new Error('select * from keys'),
      new AuthorityError('internal', 'pepper 3 is gone'),
      'text',
      undefined,
    ]) {
      const { status, problem } = toProblem(error, 'r');
      expect(status).toBe(500);
      expect(JSON.stringify(problem)).not.toMatch(/select|pepper|text/);
    }
  });

  it('keeps the headers that 401, 429 and 503 need (T17)', () => {
    expect(toProblem(new AuthorityError('unauthenticated', 'x'), 'r').headers['www-authenticate']).toMatch(/^Bearer/);
    expect(toProblem(new AuthorityError('limited', 'x', { retryAfter: 41.2 }), 'r').headers['retry-after']).toBe('42');
    expect(toProblem(new AuthorityError('unavailable', 'x'), 'r').headers['retry-after']).toBe('5');
  });
});
