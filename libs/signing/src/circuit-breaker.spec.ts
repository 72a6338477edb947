import { describe, expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { AuthorityError, ManualClock } from '#kernel';
import { CircuitBreaker } from './circuit-breaker.js';
import type { Signer, SignRequest } from './signer.js';

const of = (keyId: string): SignRequest => ({
  purpose: 'crl',
  keyId,
  subject: { artifactId: 'a' },
  message: Buffer.from('m'),
});

/** A signer whose keys are down while they are named, with the number of times it was asked. */
class Flaky implements Signer {
  readonly down = new Map<string, Error>();
  asked = 0;

  async sign({ keyId }: SignRequest): Promise<Buffer> {
    this.asked++;
    const error = this.down.get(keyId);
    if (error) throw error;
    return Buffer.from('s');
  }

  createKey(): never {
    throw new Error('not asked');
  }
}

const unavailable = new AuthorityError('unavailable', 'gone', { retryAfter: 2 });

function setUp() {
  const clock = new ManualClock(new Date('2026-11-21T12:00:00Z'));
  const registry = new Registry();
  const flaky = new Flaky();
  const signer = new CircuitBreaker(flaky, clock, registry);
  const open = async () =>
    (await registry.getSingleMetric('touchmark_signer_circuits_open')!.get()).values[0]?.value ?? 0;
  const fail = async (keyId: string, times: number) => {
    for (let n = 0; n < times; n++) await signer.sign(of(keyId)).catch(() => undefined);
  };
  return { clock, flaky, signer, open, fail };
}

describe('a circuit breaker', () => {
  test('refuses at once after three failures in a row, and says when to come again', async () => {
    const { flaky, signer, open, fail } = setUp();
    flaky.down.set('k', unavailable);
    await fail('k', 3);
    expect(flaky.asked).toBe(3);
    await expect(signer.sign(of('k'))).rejects.toMatchObject({
      kind: 'unavailable',
      code: 'signerDown',
      retryAfter: 2,
    });
    expect(flaky.asked).toBe(3);
    expect(await open()).toBe(1);
    expect(signer.problems()).toEqual(['signer: does not answer for 1 key']);
  });

  test('stays closed where failures do not follow each other', async () => {
    const { flaky, signer, fail } = setUp();
    for (let round = 0; round < 5; round++) {
      flaky.down.set('k', unavailable);
      await fail('k', 2);
      flaky.down.clear();
      await signer.sign(of('k'));
    }
    expect(flaky.asked).toBe(15);
  });

  test('lets one request in 2 s try, and closes by the first that succeeds', async () => {
    const { clock, flaky, signer, open, fail } = setUp();
    flaky.down.set('k', unavailable);
    await fail('k', 3);
    clock.advance(2000);
    await fail('k', 10);
    expect(flaky.asked).toBe(4);
    flaky.down.clear();
    clock.advance(2000);
    for (let n = 0; n < 10; n++) await signer.sign(of('k'));
    expect(flaky.asked).toBe(14);
    expect(await open()).toBe(0);
  });

  test('stops no other key', async () => {
    const { flaky, signer, fail } = setUp();
    flaky.down.set('k', unavailable);
    await fail('k', 5);
    expect(await signer.sign(of('other'))).toEqual(Buffer.from('s'));
  });

  test('takes a refusal for an answer', async () => {
    const { flaky, signer, open, fail } = setUp();
    flaky.down.set('k', new AuthorityError('forbidden', 'not for this purpose'));
    await fail('k', 9);
    await expect(signer.sign(of('k'))).rejects.toMatchObject({ kind: 'forbidden' });
    expect(flaky.asked).toBe(10);
    expect(await open()).toBe(0);
  });
});
