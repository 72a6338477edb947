import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { NoticeJobs } from '../../apps/worker/src/notice-jobs.js';
import { createMailSubscription, createWebhook, type AuthorityContext } from '#authority';
import { loadConfig, ManualClock, systemClock } from '#kernel';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { plantEvent, sealAll, skipEvents } from './events.js';
import { startMailServer, type MailServer } from './mail-server.js';
import { startReceiver, type Receiver } from './receiver.js';

const DAY_MS = 86_400_000;
const clock = new ManualClock(systemClock.now());

let db: TestDatabase;
let worker: AuthorityContext;
let receiver: Receiver;
let mails: MailServer;
let jobs: NoticeJobs;

beforeAll(async () => {
  receiver = await startReceiver();
  mails = await startMailServer();
  const { webhooks, mail } = loadConfig({
    TOUCHMARK_WEBHOOK_NETWORKS: '127.0.0.0/8',
    TOUCHMARK_SMTP_URL: mails.url,
    TOUCHMARK_MAIL_FROM: 'touchmark@authority.test',
    TOUCHMARK_DELIVERY_LOG_DAYS: '30',
  });
  db = await startTestDatabase({ clock, settings: { webhooks, mail } });
  worker = await db.context('worker');
  jobs = new NoticeJobs(worker);
});
afterAll(async () => {
  jobs.stop();
  await db.stop();
  await receiver.stop();
  await mails.stop();
});

const count = async (table: 'deliveries' | 'notices' | 'delivery_attempts') =>
  (await db.sql<{ n: number }>(`select count(*)::int as n from ${table}`))[0]!.n;

test('an event goes from the sealed log to a webhook and a mailbox, and leaves after the time of the delivery log', async () => {
  const api = await db.context('api');
  await createWebhook(api, db.operator, { url: new URL(receiver.url), description: '', events: ['*'] });
  await createMailSubscription(api, db.operator, { address: 'a@b.test', events: ['*'], digest: 'immediate' });
  await db.sql(`update mail_subscriptions set created_at = $1`, [clock.now()]);
  await skipEvents(db);
  await plantEvent(db, 'key.leaked');
  await sealAll(db);
  expect(await jobs.dispatch()).toBe(2);
  expect([await jobs.deliver(), await jobs.mail()]).toEqual([1, 1]);
  expect(receiver.received).toHaveLength(1);
  expect(mails.mails).toHaveLength(1);

  await db.sql(`update notices set created_at = $1`, [clock.now()]);
  clock.advance(30 * DAY_MS - 1);
  expect(await jobs.purge()).toBe(0);
  expect([await count('deliveries'), await count('notices'), await count('delivery_attempts')]).toEqual([2, 1, 2]);
  clock.advance(2);
  expect(await jobs.purge()).toBe(2);
  expect([await count('deliveries'), await count('notices'), await count('delivery_attempts')]).toEqual([0, 0, 0]);
});

test('what a tick finds running it leaves alone', async () => {
  const [first, second] = [jobs.expiry(), jobs.expiry()];
  expect(await second).toBe(0);
  expect(await first).toBeGreaterThanOrEqual(0);
});

test('without a mail server nothing is sent, and nothing fails', async () => {
  const without = new NoticeJobs({ ...worker, settings: { ...worker.settings, mail: undefined } });
  expect(await without.mail()).toBe(0);
  without.stop();
});
