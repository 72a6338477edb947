import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import {
  changeMailSubscription,
  createMailer,
  createMailSubscription,
  deliverMail,
  dispatchNotices,
  removeMailSubscription,
  type AuthorityContext,
  type Mailer,
} from '#authority';
import { ManualClock, systemClock } from '#kernel';
import type { Digest } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { plantEvent, sealAll, skipEvents } from './events.js';
import { startMailServer, type MailServer } from './mail-server.js';

const HOUR_MS = 3_600_000;
const clock = new ManualClock(systemClock.now());

let db: TestDatabase;
let api: AuthorityContext;
let worker: AuthorityContext;
let server: MailServer;
let mailer: Mailer;

beforeAll(async () => {
  db = await startTestDatabase({ clock });
  api = await db.context('api');
  worker = await db.context('worker');
  server = await startMailServer();
  mailer = createMailer({ smtpUrl: server.url, from: 'touchmark@authority.test' });
});
afterAll(async () => {
  mailer.close();
  await server.stop();
  await db.stop();
});
afterEach(async () => {
  server.refuse = undefined;
  server.mails.length = 0;
  await skipEvents(db);
  await db.sql(`delete from deliveries`);
  await db.sql(`update mail_subscriptions set state = 'removed'`);
});

const subscribe = async (digest: Digest, ...events: string[]): Promise<string> => {
  const made = await createMailSubscription(api, db.operator, {
    address: 'ops@vendor.test',
    events: events.length === 0 ? ['key.*'] : events,
    digest,
  });
  await db.sql(`update mail_subscriptions set created_at = $2 where id = $1`, [made.id, clock.now()]);
  await skipEvents(db);
  return made.id;
};

async function tell(count: number, action: 'key.issued' | 'key.expiring' = 'key.issued'): Promise<void> {
  for (let n = 0; n < count; n++) await plantEvent(db, action, { subject: `key:${n}`, detail: { days: 7 } });
  await sealAll(db);
  await dispatchNotices(worker);
}

const deliver = (by: Pick<Mailer, 'send'> = mailer) => deliverMail(worker, by);
const states = async () =>
  (
    await db.sql<{ state: string; attempts: number; n: number }>(
      `select state, attempts, count(*)::int as n from deliveries group by state, attempts order by state`,
    )
  ).map(({ state, attempts, n }) => `${n} ${state} after ${attempts}`);

test('an immediate subscription gets one mail with everything that waits, from and to the right addresses', async () => {
  await subscribe('immediate');
  await tell(2);
  await tell(1, 'key.expiring');
  expect(await deliver()).toBe(1);
  expect(await deliver()).toBe(0);
  const [mail] = server.mails;
  expect(mail).toMatchObject({ from: 'touchmark@authority.test', to: ['ops@vendor.test'] });
  expect(mail!.headers).toMatch(/^Subject: \[Touchmark\] 3 notices: key\.expiring, key\.issued$/m);
  expect(mail!.headers).toMatch(/^Auto-Submitted: auto-generated$/m);
  expect(mail!.headers).toMatch(/^Content-Type: text\/plain/m);
  expect(mail!.text).toContain('key:1');
  expect(mail!.text).toContain('days=3D7');
  expect(await states()).toEqual(['3 delivered after 1']);
});

test('10,000 notices make one mail of 200 lines and a count', async () => {
  const id = await subscribe('daily');
  await db.sql(
    `with n as (
       insert into notices (id, organization_id, type, subject, at, event_id, payload)
       select gen_random_uuid(), $1, 'key.expiring', 'key:' || g, now(), null, convert_to(json_build_object('type',
         'key.expiring', 'timestamp', '2026-03-01T00:00:00.000Z', 'data', json_build_object('id', 'x', 'subject', 'key:' || g))::text, 'UTF8')
       from generate_series(1, 10000) g returning id
     ) insert into deliveries (id, notice_id, organization_id, subscription_id, next_at)
       select gen_random_uuid(), n.id, $1, $2, $3 from n`,
    [db.authorityId, id, clock.now()],
  );
  clock.advance(24 * HOUR_MS);
  expect(await deliver()).toBe(1);
  expect(server.mails).toHaveLength(1);
  const { headers, text } = server.mails[0]!;
  expect(headers).toMatch(/^Subject: \[Touchmark\] 10000 notices: key\.expiring$/m);
  expect(text.match(/key:\d+/g)).toHaveLength(200);
  expect(text).toContain('and 9800 more');
  expect(await states()).toEqual(['10000 delivered after 1']);
  const [log] = await db.sql(`select count(*)::int as n from delivery_attempts where error is null`);
  expect(log).toEqual({ n: 10_000 });
});

test.each<[Digest, number]>([
  ['hourly', HOUR_MS],
  ['daily', 24 * HOUR_MS],
])('a subscription with the digest %s gets one mail per interval', async (digest, interval) => {
  await subscribe(digest);
  await tell(2);
  clock.advance(interval - 1);
  expect(await deliver()).toBe(0);
  await tell(1);
  clock.advance(1);
  expect(await deliver()).toBe(1);
  expect(server.mails[0]!.headers).toMatch(/3 notices/);
  await tell(1);
  clock.advance(interval - 1);
  expect(await deliver()).toBe(0);
  clock.advance(1);
  expect(await deliver()).toBe(1);
  expect(server.mails).toHaveLength(2);
});

test('where nothing happened, no mail is sent', async () => {
  await subscribe('daily');
  clock.advance(72 * HOUR_MS);
  expect(await deliver()).toBe(0);
});

test.each([451, 550])('a mail that the server refuses (%i) is tried again by the schedule', async (code) => {
  await subscribe('immediate');
  await tell(2);
  server.refuse = code;
  expect(await deliver()).toBe(1);
  expect(await states()).toEqual(['2 pending after 1']);
  const [log] = await db.sql(`select distinct status, error from delivery_attempts a
    join deliveries d on d.id = a.delivery_id`);
  expect(log).toEqual({ status: code, error: 'refused' });
  expect(await deliver()).toBe(0);
  server.refuse = undefined;
  clock.advance(6000);
  expect(await deliver()).toBe(1);
  expect(server.mails).toHaveLength(1);
  expect(await states()).toEqual(['2 delivered after 2']);
});

test('a server that is not there is a failed connection, and after ten tries the delivery has failed', async () => {
  await subscribe('immediate');
  await tell(1);
  const nowhere = createMailer({ smtpUrl: 'smtp://127.0.0.1:1', from: 'touchmark@authority.test' });
  for (let n = 0; n < 10; n++) {
    expect(await deliver(nowhere)).toBe(1);
    clock.advance(27 * HOUR_MS);
  }
  expect(await deliver(nowhere)).toBe(0);
  nowhere.close();
  expect(await states()).toEqual(['1 failed after 10']);
});

test('cut off between the mail and its record, it is sent again when the lease ends; two at a time send one', async () => {
  await subscribe('immediate');
  await tell(3);
  const crashing: AuthorityContext = {
    ...worker,
    database: {
      ...worker.database,
      transaction: (work, options) =>
        worker.database.transaction(async (tx) => {
          const result = await work(tx);
          if (result === undefined && server.mails.length > 0) throw new Error('killed');
          return result;
        }, options),
    },
  };
  await expect(deliverMail(crashing, mailer)).rejects.toThrow();
  expect(server.mails).toHaveLength(1);
  expect(await deliver()).toBe(0);
  clock.advance(181_000);
  const tries = await Promise.all([deliver(), deliver()]);
  expect(tries[0]! + tries[1]!).toBe(1);
  expect(server.mails).toHaveLength(2);
  expect(await states()).toEqual(['3 delivered after 1']);
});

describe('headers cannot be forged', () => {
  test.each(['ops@vendor.test\r\nBcc: all@vendor.test', 'ops@vendor.test, all@vendor.test', 'Ops <ops@vendor.test>'])(
    'by the address %p, which is refused',
    async (address) => {
      const made = createMailSubscription(api, db.operator, { address, events: ['*'], digest: 'daily' });
      await expect(made).rejects.toMatchObject({ kind: 'invalid', member: 'address' });
      const [row] = await db.sql(`select count(*)::int as n from mail_subscriptions where address = $1`, [address]);
      expect(row).toEqual({ n: 0 });
    },
  );

  test('nor by a subject or detail of an event: it stands in the text, without its line breaks', async () => {
    await subscribe('immediate');
    await plantEvent(db, 'key.revoked', {
      subject: 'key:x\r\nBcc: all@vendor.test',
      detail: { reason: 'a\r\n.\r\nQUIT\r\n' },
    });
    await sealAll(db);
    await dispatchNotices(worker);
    expect(await deliver()).toBe(1);
    const [mail] = server.mails;
    expect(mail!.to).toEqual(['ops@vendor.test']);
    expect(mail!.raw).not.toMatch(/^Bcc:/im);
    expect(mail!.headers).toMatch(/^Subject: \[Touchmark\] 1 notice: key\.revoked$/m);
  });
});

test('a changed subscription listens to what it says now; a removed one gets nothing more', async () => {
  const id = await subscribe('immediate');
  await changeMailSubscription(api, db.operator, id, { events: ['ca.expiring'] });
  await skipEvents(db);
  await tell(1);
  expect(await deliver()).toBe(0);
  await changeMailSubscription(api, db.operator, id, { events: ['*'] });
  await skipEvents(db);
  await tell(1);
  await removeMailSubscription(api, db.operator, id);
  expect(await deliver()).toBe(0);
  expect(await states()).toEqual(['1 failed after 0']);
});
