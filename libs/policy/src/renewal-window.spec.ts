import { randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { renewalWindow } from './renewal-window.js';

const DAY_MS = 86_400_000;
const notBefore = new Date('2026-11-21T00:00:00Z');
const certificate = (days: number, serial = randomBytes(16)) => ({
  serial,
  notBefore,
  notAfter: new Date(notBefore.getTime() + days * DAY_MS),
});

describe('the window of a renewal', () => {
  test.each([1, 90, 398])('of %i days lies in their last third, with time left after it', (days) => {
    for (let i = 0; i < 200; i++) {
      const one = certificate(days);
      const { start, end } = renewalWindow(one);
      const third = (days * DAY_MS) / 3;
      expect(start.getTime()).toBeGreaterThanOrEqual(notBefore.getTime() + 2 * third - 1000);
      expect(end.getTime() - start.getTime()).toBeGreaterThanOrEqual(third / 4 - 1000);
      expect(one.notAfter.getTime() - end.getTime()).toBeGreaterThanOrEqual(third / 12 - 1000);
    }
  });

  test('is the same each time, and another for another serial', () => {
    const one = certificate(90, Buffer.from('01aa', 'hex'));
    expect(renewalWindow(one)).toEqual(renewalWindow({ ...one }));
    expect(renewalWindow(one)).not.toEqual(renewalWindow(certificate(90, Buffer.from('01ab', 'hex'))));
  });

  test('of a fleet that was enrolled at once is spread: no tenth of the time has more than a fifth of it', () => {
    const starts = Array.from({ length: 2000 }, () => renewalWindow(certificate(90)).start.getTime());
    const [first, last] = [Math.min(...starts), Math.max(...starts)];
    const counts = new Map<number, number>();
    for (const start of starts) {
      const tenth = Math.min(9, Math.floor(((start - first) / (last - first)) * 10));
      counts.set(tenth, (counts.get(tenth) ?? 0) + 1);
    }
    expect(counts.size).toBe(10);
    expect(Math.max(...counts.values())).toBeLessThan(400);
  });
});
