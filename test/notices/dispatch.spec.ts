import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import {
  CANARY_VENDOR,
  createMailSubscription,
  createOrganization,
  createWebhook,
  dispatchNotices,
  ensureCanaryVendor,
  type Actor,
  type AuthorityContext,
} from '#authority';
import { isAuthorityError } from '#kernel';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { plantEvent, sealAll, skipEvents } from './events.js';

let db: TestDatabase;
let api: AuthorityContext;
let worker: AuthorityContext;
let vendor: Actor;
let tester: Actor;

beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  worker = await db.context('worker');
  vendor = await makeActor('vendor');
  tester = await makeActor('testing');
  await skipEvents(db);
});
afterAll(() => db.stop());
afterEach(async () => {
  await skipEvents(db);
  await db.sql(`delete from deliveries`);
  await db.sql(`delete from notices`);
  await db.sql(`update webhooks set state = 'removed'`);
  await db.sql(`update mail_subscriptions set state = 'removed'`);
});

async function makeActor(kind: 'vendor' | 'testing'): Promise<Actor> {
  const { id } = await createOrganization(api, db.operator, { name: kind, kind });
  return { id: `operator:${kind}`, organizationId: id, authority: false, requestId: 'test' };
}

const listen = async (actor: Actor, ...events: string[]): Promise<string> => {
  const url = new URL('https://hook.example/secret-path');
  return (await createWebhook(api, actor, { url, description: '', events })).webhook.id;
};

interface Told {
  type: string;
  webhook: string | null;
  subscription: string | null;
  organization: string;
  payload: Buffer;
}
const told = () =>
  db.sql<Told>(
    `select n.type, d.webhook_id as webhook, d.subscription_id as subscription, d.organization_id as organization, n.payload
     from deliveries d join notices n on n.id = d.notice_id and n.organization_id = d.organization_id order by d.id`,
  );
const cursor = async () => Number((await db.sql(`select leaf_index from notice_cursor`))[0]!['leaf_index']);

test('an event is told to owner and issuer, each by a notice of its own, and to nobody else', async () => {
  const ofVendor = await listen(vendor, 'key.*');
  const ofTester = await listen(tester, '*');
  await listen(db.operator, '*');
  await skipEvents(db);
  const ids = { ownerOrgId: vendor.organizationId, issuerOrgId: tester.organizationId };
  await plantEvent(db, 'key.issued', { ...ids, detail: { environment: 'live' } });
  await sealAll(db);
  expect(await dispatchNotices(worker)).toBe(2);
  const rows = await told();
  expect(rows.map(({ webhook }) => webhook).sort()).toEqual([ofVendor, ofTester].sort());
  expect(new Set(rows.map(({ organization }) => organization))).toEqual(
    new Set([vendor.organizationId, tester.organizationId]),
  );
  const bodies = rows.map(({ payload }) => JSON.parse(payload.toString()) as { data: { id: string } });
  expect(bodies[0]).toMatchObject({ type: 'key.issued', data: { subject: 'key:01tSaqXyBDHyM6', environment: 'live' } });
  expect(bodies[0]!.data.id).not.toBe(bodies[1]!.data.id);
});

test('what concerns no organization is told to the authority', async () => {
  const webhook = await listen(db.operator, 'ca.expiring');
  await listen(vendor, '*');
  await skipEvents(db);
  await plantEvent(db, 'ca.expiring', { issuerOrgId: null, subject: 'issuer:x', detail: { days: 7 } });
  await sealAll(db);
  await dispatchNotices(worker);
  expect((await told()).map((row) => row.webhook)).toEqual([webhook]);
});

test('a receiver is told of nothing that was done before it was made', async () => {
  await plantEvent(db, 'key.issued', { ownerOrgId: vendor.organizationId });
  await listen(vendor, '*');
  await plantEvent(db, 'key.revoked', { ownerOrgId: vendor.organizationId });
  await sealAll(db);
  await dispatchNotices(worker);
  expect((await told()).map(({ type }) => type)).toEqual(['key.revoked']);
});

test('what the inner canary does is told by its result alone', async () => {
  await ensureCanaryVendor({ ...api, plane: 'init', database: await db.as('owner') });
  const [canary] = await db.sql<{ id: string }>(`select id from organizations where name = $1`, [CANARY_VENDOR]);
  await listen(db.operator, '*');
  const ids = { ownerOrgId: canary!.id, issuerOrgId: db.authorityId };
  await plantEvent(db, 'key.issued', ids);
  await plantEvent(db, 'canary.failed', { issuerOrgId: db.authorityId, outcome: 'failed' });
  await sealAll(db);
  await dispatchNotices(worker);
  expect((await told()).map(({ type }) => type)).toEqual(['canary.failed']);
});

test('nothing is told before it is sealed', async () => {
  await listen(db.operator, '*');
  await skipEvents(db);
  await plantEvent(db, 'key.issued');
  expect(await dispatchNotices(worker)).toBe(0);
  expect(await told()).toEqual([]);
  await sealAll(db);
  expect(await dispatchNotices(worker)).toBe(1);
});

test('only what a filter names is told; a leaked key once, under the name that is listened to', async () => {
  const all = await listen(db.operator, '*');
  const revoked = await listen(db.operator, 'key.revoked');
  const leaked = await listen(db.operator, 'key.leaked', 'key.revoked');
  await listen(db.operator, 'certificate.*');
  await skipEvents(db);
  await plantEvent(db, 'key.revoked', { detail: { reason: 'keyCompromise' } });
  await sealAll(db);
  await dispatchNotices(worker);
  const types = new Map((await told()).map(({ webhook, type }) => [webhook, type]));
  expect(types).toEqual(
    new Map([
      [all, 'key.leaked'],
      [revoked, 'key.revoked'],
      [leaked, 'key.leaked'],
    ]),
  );
});

test('a mail subscription is told like a webhook; a removed or disabled one is not', async () => {
  const { id } = await createMailSubscription(api, vendor, { address: 'a@b.test', events: ['*'], digest: 'daily' });
  const removed = await listen(vendor, '*');
  const disabled = await listen(vendor, '*');
  await db.sql(`update webhooks set state = 'removed' where id = $1`, [removed]);
  await db.sql(`update webhooks set state = 'disabled' where id = $1`, [disabled]);
  await skipEvents(db);
  await plantEvent(db, 'device.revoked', { ownerOrgId: vendor.organizationId });
  await sealAll(db);
  await dispatchNotices(worker);
  expect((await told()).map(({ subscription, webhook }) => [subscription, webhook])).toEqual([[id, null]]);
});

test('1,234 events in blocks are told exactly once, also by four dispatchers at a time', async () => {
  await listen(db.operator, 'key.issued');
  await skipEvents(db);
  const before = await cursor();
  await db.sql(
    `insert into audit (at, actor, action, subject, outcome, request_id, canonical, issuer_org_id)
     select now(), 'system:test', 'key.issued', 'key:' || n, 'success', 'test', convert_to(json_build_object('v', 1,
       'at', '2026-03-01T00:00:00.000Z', 'action', 'key.issued', 'subject', 'key:' || n, 'outcome', 'success',
       'detail', json_build_object(), 'ownerOrgId', null, 'issuerOrgId', $1::text)::text, 'UTF8'), $1::uuid
     from generate_series(1, 1234) n`,
    [db.authorityId],
  );
  await sealAll(db);
  await Promise.all([1, 2, 3, 4].map(() => dispatchNotices(worker)));
  await dispatchNotices(worker);
  const subjects = await db.sql<{ subject: string }>(
    `select n.subject from deliveries d join notices n on n.id = d.notice_id`,
  );
  expect(subjects).toHaveLength(1234);
  expect(new Set(subjects.map(({ subject }) => subject)).size).toBe(1234);
  expect(await cursor()).toBe(before + 1234);
});

test('what is cut off before the commit is told by the next one: cursor and deliveries are one', async () => {
  await listen(db.operator, '*');
  await skipEvents(db);
  await plantEvent(db, 'key.issued');
  await sealAll(db);
  const failing: AuthorityContext = {
    ...worker,
    database: {
      ...worker.database,
      transaction: (work) =>
        worker.database.transaction(async (tx) => {
          await work(tx);
          throw new Error('cut off');
        }),
    },
  };
  await expect(dispatchNotices(failing)).rejects.toThrow();
  expect(await told()).toEqual([]);
  expect(await dispatchNotices(worker)).toBe(1);
});

describe('limits', () => {
  test('20 webhooks and 50 subscriptions per organization, also for requests at the same time', async () => {
    const outcome = async (work: Promise<unknown>) =>
      work.then(
        () => 'made',
        (error: unknown) => (isAuthorityError(error, 'conflict') ? 'refused' : error),
      );
    const made = await Promise.all(Array.from({ length: 24 }, () => outcome(listen(vendor, '*'))));
    expect(made.filter((one) => one === 'made')).toHaveLength(20);
    expect(made.filter((one) => one === 'refused')).toHaveLength(4);
    const subscribe = (n: number) =>
      createMailSubscription(api, vendor, { address: `a${n}@b.test`, events: ['*'], digest: 'daily' });
    const subscribed = await Promise.all(Array.from({ length: 53 }, (_, n) => outcome(subscribe(n))));
    expect(subscribed.filter((one) => one === 'made')).toHaveLength(50);
    expect(subscribed.filter((one) => one === 'refused')).toHaveLength(3);
  });
});
