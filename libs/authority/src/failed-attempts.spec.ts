import { describe, expect, test } from '@jest/globals';
import { ManualClock } from '#kernel';
import { FailedAttempts } from './failed-attempts.js';

const make = () => {
  const clock = new ManualClock(new Date('2026-03-01T12:00:00Z'));
  return { clock, attempts: new FailedAttempts(clock, { perAddressPerMinute: 3, perSecretPerMinute: 2 }) };
};
const limited = (retryAfter: number) => expect.objectContaining({ kind: 'limited', retryAfter });

describe('failed authentications', () => {
  test('are let through up to the limit, then refused with the seconds to wait, then let through again', () => {
    const { clock, attempts } = make();
    for (let i = 0; i < 3; i++) {
      expect(() => attempts.check('a')).not.toThrow();
      attempts.record('a');
    }
    expect(() => attempts.check('a')).toThrow(limited(60));
    clock.advance(30_500);
    expect(() => attempts.check('a')).toThrow(limited(30));
    clock.advance(29_500);
    expect(() => attempts.check('a')).not.toThrow();
    attempts.record('a');
    expect(() => attempts.check('a')).not.toThrow();
  });

  test('are counted per secret across addresses, and per address across secrets', () => {
    const { attempts } = make();
    attempts.record('a', 's');
    attempts.record('b', 's');
    expect(() => attempts.check('c', 's')).toThrow(limited(60));
    expect(() => attempts.check('c', 't')).not.toThrow();
    attempts.record('a', 't');
    attempts.record('a', 'u');
    expect(() => attempts.check('a', 'v')).toThrow(limited(60));
  });

  test('of an address are not those of a secret with the same name', () => {
    const { attempts } = make();
    for (let i = 0; i < 3; i++) attempts.record('x');
    expect(() => attempts.check('y', 'x')).not.toThrow();
  });

  test('of a hundred thousand others do not grow the memory without bound, nor free one that is limited at once', () => {
    const { attempts } = make();
    for (let i = 0; i < 99_000; i++) attempts.record(`old ${i}`);
    for (let i = 0; i < 3; i++) attempts.record('attacker');
    for (let i = 0; i < 50_000; i++) attempts.record(`new ${i}`);
    expect(() => attempts.check('attacker')).toThrow(limited(60));
    const { windows } = attempts as unknown as { windows: Map<string, unknown> };
    expect(windows.size).toBeLessThanOrEqual(100_000);
  });
});

describe('sign-ins that were begun', () => {
  test('are bounded per address and for all together, apart from refusals', () => {
    const { clock, attempts } = make();
    for (let i = 0; i < 3; i++) expect(attempts.mayBeginSignIn('192.0.2.1')).toBe(true);
    expect(attempts.mayBeginSignIn('192.0.2.1')).toBe(false);
    for (let i = 0; i < 200; i++) for (let n = 0; n < 3; n++) attempts.mayBeginSignIn(`10.0.0.${i}`);
    expect(attempts.mayBeginSignIn('192.0.2.2')).toBe(false);
    expect(attempts.mayRecordRefusal('192.0.2.2')).toBe(true);
    clock.advance(60_000);
    expect(attempts.mayBeginSignIn('192.0.2.2')).toBe(true);
  });
});
