import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { systemClock, type Clock } from '#kernel';
import { readOcspResponse } from '#pki';
import { crlName, publishNeededCrls, publishOcspAnswer } from '#publication';
import { startInstance, type PublishingInstance } from '../publication/instance.js';
import { certIdOf, nonceExtension, ocspRequest, startResponder, type RunningResponder } from './exchange.js';

/** Real time, with a step that a test can put in. */
class SteppedClock implements Clock {
  private stepMs = 0;
  now(): Date {
    return new Date(systemClock.now().getTime() + this.stepMs);
  }
  monotonicMs(): number {
    return systemClock.monotonicMs() + this.stepMs;
  }
  step(seconds: number): void {
    this.stepMs += seconds * 1000;
  }
}

const clock = new SteppedClock();
let instance: PublishingInstance;
let responder: RunningResponder;
beforeAll(async () => {
  instance = await startInstance({ clock });
  await publishNeededCrls(instance.publisher, instance.root);
  await publishNeededCrls(instance.publisher, instance.issuing);
  responder = await startResponder(instance);
});
afterAll(async () => {
  await responder.close();
  await instance.close();
});

async function ask(serial: string, nonce = false): Promise<string> {
  const extensions = nonce ? [nonceExtension(randomBytes(16))] : [];
  const exchange = await responder.post(ocspRequest([certIdOf(instance.issuing, serial)], extensions));
  expect(exchange.status).toBe(200);
  const response = readOcspResponse(exchange.body);
  if (response.status === 'successful') {
    const { maxAge = '' } = /max-age=(?<maxAge>\d+)/.exec(exchange.headers['cache-control'] ?? '')?.groups ?? {};
    const nextUpdate = response.responses[0]?.nextUpdate ?? new Date(0);
    expect(clock.now().getTime() + Number(maxAge) * 1000).toBeLessThan(nextUpdate.getTime());
  } else expect(exchange.headers['cache-control']).toBe('no-store');
  return response.responses[0]?.status.status ?? response.status;
}

async function eventually(check: () => Promise<boolean>): Promise<void> {
  const deadline = systemClock.monotonicMs() + 20_000;
  while (!(await check())) {
    if (systemClock.monotonicMs() > deadline) throw new Error('it did not happen within 20 s');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('without a database status goes on as signed until nextUpdate, then tryLater, and comes back by itself', async () => {
  const [asked, unseen, revoked, held, published] = await Promise.all(
    Array.from({ length: 5 }, () => instance.issue()),
  );
  if (!asked || !unseen || !revoked || !held || !published) throw new Error('no serials');
  await instance.change(revoked, 'revoked', 'keyCompromise');
  await instance.change(published, 'revoked', 'superseded');
  await responder.follower.catchUp(await instance.change(held, 'onHold', 'certificateHold'));
  await publishOcspAnswer(instance.publisher, [instance.issuing], published);
  expect([await ask(asked), await ask(revoked, true), await ask(held, true)]).toEqual(['good', 'revoked', 'revoked']);
  const ready = async (): Promise<number> => (await responder.exchange('GET', '/readyz')).status;
  expect(await ready()).toBe(200);

  await instance.stopDatabase();
  // The log is young: what exists is known, and its status too. What is not known to exist is neither good nor unknown.
  expect([await ask(asked), await ask(asked, true), await ask(unseen), await ask('0142')]).toEqual([
    'good',
    'good',
    'tryLater',
    'tryLater',
  ]);
  expect((await responder.exchange('GET', `/${crlName(instance.issuing.id, 'full')}`)).status).toBe(200);

  clock.step(61);
  // The log is old: nothing new is signed good or held; a final revocation stays true.
  expect([await ask(asked), await ask(asked, true), await ask(held, true), await ask(revoked, true)]).toEqual([
    'good',
    'tryLater',
    'tryLater',
    'revoked',
  ]);
  expect(await ready()).toBe(503);

  clock.step(instance.lifetimes.ocspNextUpdate - 120);
  expect(await ask(asked)).toBe('good');
  clock.step(120);
  expect(await ask(asked)).toBe('tryLater');

  clock.step(instance.lifetimes.crlNextUpdate);
  const crl = await responder.exchange('GET', `/${crlName(instance.issuing.id, 'full')}`);
  expect([crl.status, crl.headers['cache-control']]).toEqual([503, 'no-store']);

  await instance.startDatabase();
  await eventually(async () => (await ask(asked, true)) === 'good');
  expect(await ask(unseen)).toBe('good');
  await publishNeededCrls(instance.publisher, instance.root);
  await publishNeededCrls(instance.publisher, instance.issuing);
  await eventually(async () => (await ready()) === 200);
  expect((await responder.exchange('GET', `/${crlName(instance.issuing.id, 'full')}`)).status).toBe(200);
});

test('with a log that is not believed nothing is signed good, and what is published goes on', async () => {
  const [serial, published] = [await instance.issue(), await instance.issue()];
  await responder.follower.catchUp(await instance.change(published, 'revoked', 'superseded'));
  await publishOcspAnswer(instance.publisher, [instance.issuing], published);
  expect(await ask(serial)).toBe('good');
  await instance.owner.rows(`update status_counter set mac = sha256(mac)`);
  await eventually(async () => responder.follower.broken !== undefined);
  expect(await ask(serial, true)).toBe('tryLater');
  expect(await ask(serial)).toBe('good');
  expect(await ask(published)).toBe('revoked');
  expect((await responder.exchange('GET', '/readyz')).body.toString()).toContain('not believed');
});
