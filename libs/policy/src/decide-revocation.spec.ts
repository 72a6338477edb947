import { describe, expect, test } from '@jest/globals';
import { AuthorityError } from '#kernel';
import {
  checkInvalidityDate,
  decideRevocation,
  REVOCATION_REASONS,
  type RevocationReason,
} from './decide-revocation.js';

const FINAL = REVOCATION_REASONS.filter((reason) => reason !== 'certificateHold');
const conflict = expect.objectContaining({ kind: 'conflict' });

function attempt(current: Parameters<typeof decideRevocation>[0], reason: RevocationReason): unknown {
  try {
    return decideRevocation(current, reason);
  } catch (error) {
    return error;
  }
}

test('the reasons a caller may give leave out removeFromCRL, aACompromise and the unassigned value 7 (CX03)', () => {
  expect([...REVOCATION_REASONS].sort()).toEqual([
    'affiliationChanged',
    'cACompromise',
    'certificateHold',
    'cessationOfOperation',
    'keyCompromise',
    'privilegeWithdrawn',
    'superseded',
    'unspecified',
  ]);
});

describe('revoking (C15, CX02)', () => {
  test.each(REVOCATION_REASONS)('a good certificate as %s changes it', (reason) => {
    expect(attempt(undefined, reason)).toBe('change');
    expect(attempt({ status: 'active', reason: null }, reason)).toBe('change');
  });

  test.each(FINAL)('one on hold as %s changes it', (reason) => {
    expect(attempt({ status: 'onHold', reason: 'certificateHold' }, reason)).toBe('change');
  });

  test('one on hold to hold again changes nothing', () => {
    expect(attempt({ status: 'onHold', reason: 'certificateHold' }, 'certificateHold')).toBe('same');
  });

  test.each(FINAL)(
    'one revoked as %s: the same reason changes nothing, keyCompromise tightens, any other conflicts',
    (first) => {
      for (const second of REVOCATION_REASONS) {
        const expected = second === first ? 'same' : second === 'keyCompromise' ? 'change' : conflict;
        expect(attempt({ status: 'revoked', reason: first }, second)).toEqual(expected);
      }
    },
  );

  test('a final revocation is never softened to a hold', () => {
    for (const reason of FINAL) expect(attempt({ status: 'revoked', reason }, 'certificateHold')).toEqual(conflict);
  });
});

describe('an invalidity date (CX04)', () => {
  const notBefore = new Date('2026-01-01T00:00:00Z');
  const now = new Date('2026-03-01T00:00:00Z');

  test('lies between the begin of the certificate and now, both included', () => {
    for (const date of [undefined, notBefore, now, new Date('2026-02-01T00:00:00Z')]) {
      expect(() => checkInvalidityDate(date, notBefore, now)).not.toThrow();
    }
  });

  test.each([
    ['in the future', new Date(now.getTime() + 1), /future/],
    ['before the certificate began', new Date(notBefore.getTime() - 1), /before/],
  ])('%s is refused, naming the member', (_, date, text) => {
    const check = () => checkInvalidityDate(date, notBefore, now);
    expect(check).toThrow(text);
    expect(check).toThrow(AuthorityError);
    expect(check).toThrow(expect.objectContaining({ kind: 'invalid', member: 'invalidityDate' }));
  });
});
