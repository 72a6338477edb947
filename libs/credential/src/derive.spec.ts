import { describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { derivationRoot, derivedSecret, feedVerifier } from './derive.js';

const SECRET = Buffer.from('101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f', 'hex');
const RED = '0190f3c2-7b1e-7000-8000-000000000001';
const GREEN = '0190f3c2-7b1e-7000-8000-000000000002';

describe('derived secrets', () => {
  test('the whole chain is stable (computed outside this code)', () => {
    const root = derivationRoot(SECRET);
    const derived = derivedSecret(root, RED);
    expect(root.toString('hex')).toBe('8b66a0eb5ead0bffaac03884b70a0748b6ef465fac2438abf1aef95fc35f698c');
    expect(derived.toString('hex')).toBe('3a82786e499593d7330fd900e6c8d4cc8546b8745248b91041089001f2341329');
    expect(feedVerifier(derived).toString('hex')).toBe(
      'eaacceeb643ee51d70e342e44e802b0d460d42765b4cc459742e4830bab1b5c5',
    );
  });

  test('what one provider sees fits no other provider and no other key', () => {
    const root = derivationRoot(randomBytes(32));
    const atRed = feedVerifier(derivedSecret(root, RED));
    expect(feedVerifier(derivedSecret(root, GREEN))).not.toEqual(atRed);
    expect(feedVerifier(derivedSecret(derivationRoot(randomBytes(32)), RED))).not.toEqual(atRed);
    expect(feedVerifier(derivedSecret(derivedSecret(root, RED), GREEN))).not.toEqual(
      feedVerifier(derivedSecret(root, GREEN)),
    );
  });
});
