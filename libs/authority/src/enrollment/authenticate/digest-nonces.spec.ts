import { createSecretKey, randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { DigestNonces } from './digest-nonces.js';

let at = 0;
const clock = { now: () => new Date(at), monotonicMs: () => at };
const nonces = () => new DigestNonces(clock, createSecretKey(randomBytes(32)));

test('nonce and count belong to who proved himself by them first, for as long as the nonce lives', () => {
  const used = nonces();
  const [first, second] = [{}, {}];
  expect([used.claim('a', '00000001', first), used.claim('a', '00000001', first)]).toEqual([true, true]);
  expect(used.claim('a', '00000001', second)).toBe(false);
  expect(used.claim('a', '00000002', second)).toBe(true);
  at += 301_000;
  expect(used.claim('b', '00000001', second)).toBe(true);
  expect(used.claim('a', '00000001', second)).toBe(false);
});

test('what is remembered has an end: the oldest goes first', () => {
  const used = nonces();
  const by = {};
  for (let count = 0; count <= 100_000; count++) used.claim('a', String(count), by);
  expect(used.claim('a', '100000', {})).toBe(false);
  expect(used.claim('a', '0', {})).toBe(true);
});

test('a nonce says nothing of where it was made, and no two are the same', () => {
  const made = new Set(Array.from({ length: 100 }, () => nonces().make()));
  expect(made.size).toBe(100);
  for (const nonce of made) expect(nonce).toMatch(/^[\w-]{72}$/);
});
