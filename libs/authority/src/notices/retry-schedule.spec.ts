import { expect, test } from '@jest/globals';
import { afterFailure, RETRY_SECONDS, retryAt } from './retry-schedule.js';

const at = new Date('2026-03-01T00:00:00Z');

test('a failed try is repeated after 5 s, 30 s, 2 min, 10 min, 1, 3, 6, 12 and 24 h, then no more', () => {
  expect(RETRY_SECONDS).toEqual([5, 30, 120, 600, 3600, 10_800, 21_600, 43_200, 86_400]);
  expect(afterFailure(at, 0).state).toBe('pending');
  expect(afterFailure(at, 8).state).toBe('pending');
  expect(afterFailure(at, 9)).toEqual({ state: 'failed', nextAt: at });
  expect(afterFailure(at, 50).state).toBe('failed');
});

test('each delay is spread over a tenth, never shorter', () => {
  for (const [i, seconds] of RETRY_SECONDS.entries()) {
    const delays = Array.from({ length: 200 }, () => (retryAt(at, i + 1)!.getTime() - at.getTime()) / 1000);
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(seconds);
    expect(Math.max(...delays)).toBeLessThanOrEqual(seconds * 1.1);
    expect(new Set(delays).size).toBeGreaterThan(20);
  }
});
