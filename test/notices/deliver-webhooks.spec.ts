import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import {
  createWebhook,
  deliverWebhooks,
  dispatchNotices,
  replayDelivery,
  rotateWebhook,
  testWebhook,
  WebhookGuard,
  WebhookSender,
  changeWebhook,
  removeWebhook,
  type AuthorityContext,
} from '#authority';
import { isAuthorityError, ManualClock, systemClock } from '#kernel';
import { listAttempts, listDeliveries } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { plantEvent, sealAll, skipEvents } from './events.js';
import { startReceiver, webhookHeaders, type Receiver } from './receiver.js';

const clock = new ManualClock(systemClock.now());
const sender = new WebhookSender({ guard: new WebhookGuard(['127.0.0.0/8']), clock: systemClock, deadlineMs: 1000 });

let db: TestDatabase;
let api: AuthorityContext;
let worker: AuthorityContext;
let receiver: Receiver;

beforeAll(async () => {
  db = await startTestDatabase({ clock });
  api = await db.context('api');
  worker = await db.context('worker');
  receiver = await startReceiver();
});
afterAll(async () => {
  await receiver.stop();
  await db.stop();
});
afterEach(async () => {
  receiver.answer = 204;
  receiver.received.length = 0;
  receiver.mostOpen = 0;
  await skipEvents(db);
  await db.sql(`delete from deliveries`);
  await db.sql(`update webhooks set state = 'removed'`);
});

const make = (url = receiver.url) =>
  createWebhook(api, db.operator, { url: new URL(`${url}/hook`), description: '', events: ['*'] });

/** `count` key.issued events as pending deliveries of every webhook that listens. */
async function tell(count = 1): Promise<void> {
  await skipEvents(db);
  for (let n = 0; n < count; n++) await plantEvent(db, 'key.issued', { subject: `key:${n}` });
  await sealAll(db);
  await dispatchNotices(worker);
}

const deliver = () => deliverWebhooks(worker, sender);
const read = <T>(work: Parameters<AuthorityContext['database']['transaction']>[0]) =>
  worker.database.transaction(work) as Promise<T>;
const log = async (webhookId: string) => {
  const { items } = await read<Awaited<ReturnType<typeof listDeliveries>>>((tx) =>
    listDeliveries(tx, webhookId, { limit: 200 }),
  );
  const attempts = await read<Awaited<ReturnType<typeof listAttempts>>>((tx) =>
    listAttempts(
      tx,
      items.map(({ id }) => id),
    ),
  );
  return items.map((item) => ({ ...item, tries: attempts.filter(({ deliveryId }) => deliveryId === item.id) }));
};

test('a notice arrives once, signed so that the Standard Webhooks library accepts it, and is logged', async () => {
  const { webhook, secret } = await make();
  await tell();
  expect(await deliver()).toBe(1);
  expect(await deliver()).toBe(0);
  const [one] = receiver.received;
  expect(receiver.received).toHaveLength(1);
  const body = new Webhook(secret).verify(one!.body, webhookHeaders(one!)) as { type: string; data: { id: string } };
  expect(body).toMatchObject({ type: 'key.issued', data: { subject: 'key:0' } });
  expect(one!.headers['webhook-id']).toBe(body.data.id);
  expect(await log(webhook.id)).toMatchObject([
    { state: 'delivered', attempts: 1, noticeId: body.data.id, tries: [{ attempt: 1, status: 204, error: null }] },
  ]);
});

test('a failing receiver is tried after 5 s, 30 s, 2 min ... 24 h under one id, then the delivery has failed', async () => {
  const { webhook, secret } = await make();
  receiver.answer = 500;
  await tell();
  const delays = [5, 30, 120, 600, 3600, 10_800, 21_600, 43_200, 86_400];
  expect(await deliver()).toBe(1);
  for (const seconds of delays) {
    clock.advance(seconds * 1000 - 1);
    expect(await deliver()).toBe(0);
    clock.advance(seconds * 100 + 2);
    expect(await deliver()).toBe(1);
  }
  clock.advance(7 * 86_400_000);
  expect(await deliver()).toBe(0);
  expect(receiver.received).toHaveLength(10);
  expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  expect(new Set(receiver.received.map(({ headers }) => headers['webhook-timestamp'])).size).toBe(10);
  const [entry] = await log(webhook.id);
  expect(entry).toMatchObject({ state: 'failed', attempts: 10 });
  expect(entry!.tries.map(({ attempt, status, error }) => [attempt, status, error])).toEqual(
    Array.from({ length: 10 }, (_, n) => [n + 1, 500, 'status']),
  );
  expect(secret).toMatch(/^whsec_/);
});

test('what fails and then works is delivered, and not sent again', async () => {
  const { webhook } = await make();
  receiver.answer = 503;
  await tell();
  await deliver();
  receiver.answer = 200;
  clock.advance(6000);
  expect(await deliver()).toBe(1);
  clock.advance(86_400_000);
  expect(await deliver()).toBe(0);
  expect(await log(webhook.id)).toMatchObject([{ state: 'delivered', attempts: 2 }]);
});

test('410 disables the webhook, with an audit entry; what waits for it has failed', async () => {
  const { webhook } = await make();
  receiver.answer = 410;
  await tell(6);
  await deliver();
  const [row] = await db.sql(`select state from webhooks where id = $1`, [webhook.id]);
  expect(row).toEqual({ state: 'disabled' });
  expect((await log(webhook.id)).map(({ state }) => state)).toEqual(Array.from({ length: 6 }, () => 'failed'));
  expect(receiver.received.length).toBeLessThanOrEqual(6);
  const entries = await db.sql<{ canonical: Buffer }>(
    `select canonical from audit where action = 'webhook.disabled' and subject = $1`,
    [`webhook:${webhook.id}`],
  );
  expect(entries).toHaveLength(1);
  expect(entries[0]!.canonical.toString()).not.toContain('/hook');
  await tell();
  expect(await deliver()).toBe(0);
});

test('cut off between the try and its record, the notice is sent again under the same id when the lease ends', async () => {
  const { webhook } = await make();
  await tell();
  const crashing: AuthorityContext = {
    ...worker,
    database: {
      ...worker.database,
      transaction: (work, options) =>
        worker.database.transaction(async (tx) => {
          const result = await work(tx);
          // The claim is let through, the record is lost.
          if (result === undefined) throw new Error('killed');
          return result;
        }, options),
    },
  };
  expect(await deliverWebhooks(crashing, sender)).toBe(1);
  expect(await log(webhook.id)).toMatchObject([{ state: 'pending', attempts: 0, tries: [] }]);
  expect(await deliver()).toBe(0);
  clock.advance(31_000);
  expect(await deliver()).toBe(1);
  const ids = receiver.received.map(({ headers }) => headers['webhook-id']);
  expect(ids).toHaveLength(2);
  expect(ids[0]).toBe(ids[1]);
  expect(await log(webhook.id)).toMatchObject([{ state: 'delivered', attempts: 1, tries: [{ attempt: 1 }] }]);
});

test('two workers at a time send nothing twice within the lease', async () => {
  await make();
  await tell(60);
  const tries = await Promise.all([deliver(), deliver()]);
  expect(tries[0]! + tries[1]!).toBe(60);
  expect(receiver.received).toHaveLength(60);
  expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(60);
});

test('a worker that comes back after its lease cannot overwrite what another has recorded', async () => {
  const { webhook } = await make();
  await tell();
  const held = Promise.withResolvers<void>();
  const slow = {
    send: async () => {
      await held.promise;
      return { status: 500, error: 'status' as const, durationMs: 1 };
    },
  };
  const errors: unknown[] = [];
  const listening = Object.assign(Object.create(worker.log) as AuthorityContext['log'], {
    error: (error: unknown) => void errors.push(error),
  });
  const late = deliverWebhooks({ ...worker, log: listening }, slow);
  while ((await db.sql(`select 1 from deliveries where next_at > $1`, [clock.now()])).length === 0);
  clock.advance(31_000);
  expect(await deliver()).toBe(1);
  held.resolve();
  await late;
  expect(errors).toEqual([]);
  expect(await log(webhook.id)).toMatchObject([
    { state: 'delivered', attempts: 1, tries: [{ attempt: 1, status: 204 }] },
  ]);
});

test('a receiver that hangs holds up only itself, and has four requests open at most', async () => {
  const hanging = await startReceiver();
  try {
    hanging.answer = () => undefined;
    const stuck = await make(hanging.url);
    const quick = await make();
    await tell(12);
    const run = deliver();
    await receiver.until(12);
    expect((await log(stuck.webhook.id)).every(({ state }) => state === 'pending')).toBe(true);
    await run;
    expect(hanging.mostOpen).toBe(4);
    expect((await log(stuck.webhook.id)).every(({ tries }) => tries[0]?.error === 'timeout')).toBe(true);
    expect((await log(quick.webhook.id)).every(({ state }) => state === 'delivered')).toBe(true);
  } finally {
    await hanging.stop();
  }
});

test('asked to stop, it claims nothing more', async () => {
  await make();
  await tell(3);
  expect(await deliverWebhooks(worker, sender, { signal: AbortSignal.abort() })).toBe(0);
  expect(receiver.received).toEqual([]);
});

describe('a replay', () => {
  test('sends a delivered notice again under its id, and a failed one; a pending one is refused', async () => {
    const { webhook } = await make();
    await tell();
    const { id } = (await log(webhook.id))[0]!;
    const replay = () => replayDelivery(api, db.operator, webhook.id, id);
    await expect(replay()).rejects.toMatchObject({ kind: 'conflict' });
    await deliver();
    expect(await replay()).toMatchObject({ state: 'pending', attempts: 1 });
    await deliver();
    const ids = receiver.received.map(({ headers }) => headers['webhook-id']);
    expect(ids).toHaveLength(2);
    expect(ids[0]).toBe(ids[1]);
    expect(await log(webhook.id)).toMatchObject([{ state: 'delivered', attempts: 2 }]);
    await db.sql(`update deliveries set state = 'failed'`);
    await replay();
    expect(await deliver()).toBe(1);
  });

  test('of another webhook, or of none, is not found', async () => {
    const one = await make();
    const other = await make();
    await tell();
    const { id } = (await log(one.webhook.id))[0]!;
    for (const [webhook, delivery] of [
      [other.webhook.id, id],
      [one.webhook.id, other.webhook.id],
      ['x', id],
      [one.webhook.id, 'x'],
    ] as const) {
      const refusal = await replayDelivery(api, db.operator, webhook, delivery).catch((error: unknown) => error);
      expect(isAuthorityError(refusal, 'notFound')).toBe(true);
    }
  });
});

test('after a rotation both secrets verify for 24 hours, then the new one alone', async () => {
  const { webhook, secret } = await make();
  const { secret: next } = await rotateWebhook(api, db.operator, webhook.id);
  const verifies = (one: string): boolean => {
    const last = receiver.received.at(-1)!;
    // The library looks at the real time; the clock here has been moved.
    const headers = webhookHeaders(last);
    const signed = new Webhook(one).sign(
      headers['webhook-id']!,
      new Date(Number(headers['webhook-timestamp']) * 1000),
      last.body.toString(),
    );
    return headers['webhook-signature']!.split(' ').includes(signed);
  };
  await testWebhook(api, db.operator, webhook.id);
  await deliver();
  expect([verifies(next), verifies(secret)]).toEqual([true, true]);
  clock.advance(86_400_000);
  await testWebhook(api, db.operator, webhook.id);
  await deliver();
  expect([verifies(next), verifies(secret)]).toEqual([true, false]);
});

test('a disabled webhook is sent nothing and can be made active again; a removed one is gone', async () => {
  const { webhook } = await make();
  await tell();
  await changeWebhook(api, db.operator, webhook.id, { state: 'disabled' });
  expect(await deliver()).toBe(0);
  await expect(testWebhook(api, db.operator, webhook.id)).rejects.toMatchObject({ kind: 'conflict' });
  await changeWebhook(api, db.operator, webhook.id, { state: 'active' });
  await testWebhook(api, db.operator, webhook.id);
  expect(await deliver()).toBe(1);
  await tell();
  await removeWebhook(api, db.operator, webhook.id);
  expect(await deliver()).toBe(0);
  await expect(changeWebhook(api, db.operator, webhook.id, {})).rejects.toMatchObject({ kind: 'notFound' });
});

test('no secret and no URL path stands in payloads, attempts, audit or any table in the clear', async () => {
  const { webhook, secret } = await createWebhook(api, db.operator, {
    url: new URL(`${receiver.url}/canary-path-6b1f`),
    description: '',
    events: ['*'],
  });
  const { secret: next } = await rotateWebhook(api, db.operator, webhook.id);
  const leak = `tmk1_live_01tSaqXyBDHyM6_${'Qz9'.repeat(15)}`;
  await skipEvents(db);
  await plantEvent(db, 'key.revoked', { detail: { reason: `pasted ${leak}` } });
  await sealAll(db);
  await dispatchNotices(worker);
  await deliver();
  expect(receiver.received).toHaveLength(1);
  expect(receiver.received[0]!.body.toString()).not.toContain('Qz9Qz9');
  const dump = await db.dump();
  for (const text of [secret, next]) {
    const base64 = text.slice('whsec_'.length);
    expect(dump).not.toContain(base64);
    expect(dump).not.toContain(Buffer.from(base64, 'base64').toString('hex'));
  }
  const audit = await db.sql<{ text: string }>(`select convert_from(canonical, 'UTF8') as text from audit`);
  expect(audit.some(({ text }) => text.includes('canary-path-6b1f'))).toBe(false);
});
