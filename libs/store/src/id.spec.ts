import { expect, test } from '@jest/globals';
import { ManualClock } from '#kernel';
import { isId, newId } from './id.js';

test('ids are version 7 UUIDs of the given time, and sort by it', () => {
  const clock = new ManualClock(new Date('2026-03-01T12:00:00.123Z'));
  const ids: string[] = [];
  for (let i = 0; i < 100; i++) {
    const id = newId(clock);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)).toBe(clock.now().getTime());
    ids.push(id);
    clock.advance(1);
  }
  expect([...ids].sort()).toEqual(ids);
});

test('ids of one millisecond differ', () => {
  const clock = new ManualClock(new Date('2026-03-01T12:00:00Z'));
  expect(new Set(Array.from({ length: 10_000 }, () => newId(clock))).size).toBe(10_000);
});

test('only a lower-case UUID can be an id', () => {
  expect(isId('01900000-0000-7000-8000-00000000000a')).toBe(true);
  for (const text of [
    '',
    'x',
    '01900000-0000-7000-8000-00000000000A',
    '01900000-0000-7000-8000-00000000000a\n',
    '{01900000-0000-7000-8000-00000000000a}',
    '01900000000070008000000000000000',
  ]) {
    expect({ text, is: isId(text) }).toEqual({ text, is: false });
  }
});
