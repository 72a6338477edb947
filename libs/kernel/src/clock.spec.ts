import { expect, test } from '@jest/globals';
import { addSeconds, ManualClock, systemClock, wholeSecond } from './clock.js';

const START = new Date('2026-03-01T12:00:00.750Z');

test('a manual clock moves only when told, wall clock and durations together', () => {
  const clock = new ManualClock(START);
  const before = clock.monotonicMs();
  expect(clock.now()).toEqual(START);
  expect(clock.now()).toEqual(START);
  clock.advance(1500);
  expect(clock.now()).toEqual(new Date('2026-03-01T12:00:02.250Z'));
  expect(clock.monotonicMs() - before).toBe(1500);
});

test('a date that a clock gave out cannot be used to move it', () => {
  const clock = new ManualClock(START);
  clock.now().setFullYear(1999);
  expect(clock.now()).toEqual(START);
});

test('durations of the system clock never go back', () => {
  let last = systemClock.monotonicMs();
  for (let i = 0; i < 10_000; i++) {
    const now = systemClock.monotonicMs();
    expect(now).toBeGreaterThanOrEqual(last);
    last = now;
  }
});

test('the part of a second is cut off, never rounded into the future, also before 1970', () => {
  expect(wholeSecond(START)).toEqual(new Date('2026-03-01T12:00:00Z'));
  expect(wholeSecond(new Date('2026-03-01T12:00:00Z'))).toEqual(new Date('2026-03-01T12:00:00Z'));
  expect(wholeSecond(new Date(-1))).toEqual(new Date(-1000));
});

test('seconds are added to a copy', () => {
  const moved = addSeconds(START, -0.75);
  expect(moved).toEqual(new Date('2026-03-01T12:00:00Z'));
  expect(START).toEqual(new Date('2026-03-01T12:00:00.750Z'));
});
