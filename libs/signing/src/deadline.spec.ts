import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { AuthorityError } from '#kernel';
import { DeadlineSigner } from './deadline.js';
import type { Signer, SignRequest } from './signer.js';

const REQUEST: SignRequest = {
  purpose: 'crl',
  keyId: 'k',
  subject: { artifactId: 'a' },
  message: Buffer.from('m'),
};
const signer = (sign: Signer['sign']): Signer => ({ sign, createKey: () => Promise.reject(new Error('not asked')) });
const unavailable = expect.objectContaining({ kind: 'unavailable', retryAfter: 2 });

describe('a signer with a deadline', () => {
  test('gives the signature that comes in time', async () => {
    const made = new DeadlineSigner(signer(() => Promise.resolve(Buffer.from('s'))));
    expect(await made.sign(REQUEST)).toEqual(Buffer.from('s'));
  });

  test('is unavailable where none comes, and what comes later disturbs nobody', async () => {
    const failing = async () => {
      await delay(60);
      throw new Error('too late');
    };
    await expect(new DeadlineSigner(signer(failing), 20).sign(REQUEST)).rejects.toEqual(unavailable);
    await delay(80);
  });

  test('waits two seconds where nothing else is said', async () => {
    const begin = performance.now();
    const silent = new DeadlineSigner(signer(() => new Promise(() => undefined)));
    await expect(silent.sign(REQUEST)).rejects.toEqual(unavailable);
    expect(performance.now() - begin).toBeGreaterThan(1900);
    expect(performance.now() - begin).toBeLessThan(4000);
  });

  test('passes on why it was refused', async () => {
    const refusing = signer(() => Promise.reject(new AuthorityError('forbidden', 'not for this purpose')));
    await expect(new DeadlineSigner(refusing).sign(REQUEST)).rejects.toMatchObject({ kind: 'forbidden' });
  });
});
