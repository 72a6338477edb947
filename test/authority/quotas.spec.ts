import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  changeQuotas,
  createOrganization,
  issueKey,
  Quotas,
  readQuotas,
  rotateKey,
  type Actor,
  type AuthorityContext,
  type Transactor,
} from '#authority';
import { ManualClock } from '#kernel';
import { silent, startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { enroll, enrollRequest, makeDevice, makeProduct, renewRequest } from '../harness/fixtures.js';

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  est = await db.context('est');
});
afterAll(() => db.stop());

const LIMIT = 1000;
const actor = { id: 'operator:test', requestId: 'r' };
const exceeded = expect.objectContaining({
  kind: 'limited',
  code: 'quotaExceeded',
  retryAfter: expect.any(Number),
});

/** The minute is the database's: where it is nearly over, the next one is waited for. */
async function freshMinute(): Promise<void> {
  const [row] = await db.sql<{ left: number }>(
    `select extract(epoch from date_trunc('minute', now()) + interval '1 minute' - now())::float8 as left`,
  );
  if (row!.left < 20) await delay(row!.left * 1000 + 50);
}

/** As if a minute had passed: for the database, which has counted nothing in it yet, and for this process by its clock. */
async function nextMinute(clock: ManualClock): Promise<void> {
  await db.sql(`delete from quota_windows`);
  clock.advance(60_000);
}

interface Process {
  quotas: Quotas;
  clock: ManualClock;
  statements: () => number;
}

/** What another process would have: counters of its own, on the same database. */
async function makeProcess(plane: 'api' | 'est', limit = LIMIT, clock = new ManualClock(new Date())): Promise<Process> {
  const database = await db.as(plane);
  let statements = 0;
  const counted: Transactor = {
    transaction: (work, options) => (statements++, database.transaction(work, options)),
    single: (work) => (statements++, database.single(work)),
  };
  const defaults = { requestsPerMinute: limit, issuancePerMinute: limit };
  const quotas = new Quotas({ plane, database: counted, clock, defaults, authorityId: db.authorityId, log: silent });
  return { quotas, clock, statements: () => statements };
}

/** How many of `offered` requests, forty at a time, get through. */
async function admitted(processes: readonly Process[], organization: string, offered: number): Promise<number> {
  let through = 0;
  let next = 0;
  const client = async () => {
    while (next < offered) {
      const { quotas } = processes[next++ % processes.length]!;
      try {
        await quotas.take('requests', organization, actor);
        through += 1;
      } catch (error) {
        expect(error).toEqual(exceeded);
      }
    }
  };
  await Promise.all(Array.from({ length: 40 }, client));
  return through;
}

describe('a quota over four processes together', () => {
  beforeEach(freshMinute);

  test.each([1000, 300, 60_000])('lets through at most the limit, and at least 99 of 100 (limit %i)', async (limit) => {
    const processes = await Promise.all([0, 1, 2, 3].map((n) => makeProcess(n % 2 === 0 ? 'api' : 'est', limit)));
    const through = await admitted(processes, randomUUID(), Math.ceil(limit * 1.5));
    expect(through).toBeLessThanOrEqual(limit);
    expect(through).toBeGreaterThanOrEqual(limit * 0.99);
  });

  test('lets one process have it all where the others were asked once', async () => {
    const [first, ...others] = await Promise.all([0, 1, 2, 3].map(() => makeProcess('est')));
    const organization = randomUUID();
    for (const other of others) await other.quotas.take('requests', organization, actor);
    const through = (await admitted([first!], organization, LIMIT * 1.5)) + others.length;
    expect(through).toBeLessThanOrEqual(LIMIT);
    expect(through).toBeGreaterThanOrEqual(LIMIT * 0.99);
  });

  test('asks the database once for a block, and not at all once the limit is known to be reached', async () => {
    const one = await makeProcess('est', 60_000);
    const organization = randomUUID();
    for (let i = 0; i < 100; i++) await one.quotas.take('issuance', organization, actor);
    expect(one.statements()).toBe(1);

    const small = await makeProcess('est', 1);
    await small.quotas.take('issuance', randomUUID(), actor);
    const spent = randomUUID();
    await small.quotas.take('issuance', spent, actor);
    await expect(small.quotas.take('issuance', spent, actor)).rejects.toEqual(exceeded);
    const before = small.statements();
    for (let i = 0; i < 100; i++) await expect(small.quotas.take('issuance', spent, actor)).rejects.toEqual(exceeded);
    expect(small.statements()).toBe(before);
  });

  test('begins anew with the next minute, without what was left of the last one', async () => {
    const clock = new ManualClock(new Date());
    const processes = [await makeProcess('api', 200, clock), await makeProcess('est', 200, clock)];
    const organization = randomUUID();
    expect(await admitted(processes, organization, 50)).toBe(50);
    await nextMinute(clock);
    expect(await admitted(processes, organization, 300)).toBe(200);
    await nextMinute(clock);
    expect(await admitted(processes, organization, 300)).toBe(200);
  });

  test('is one organization’s alone', async () => {
    const one = await makeProcess('est', 10);
    await admitted([one], randomUUID(), 20);
    expect(await admitted([one], randomUUID(), 10)).toBe(10);
  });

  test('does not hold back what a plane does of itself', async () => {
    const one = await makeProcess('est', 1);
    const organization = randomUUID();
    for (let i = 0; i < 5; i++)
      await one.quotas.take('issuance', organization, { id: 'system:worker', requestId: 'r' });
  });

  test('needs the database: without a lease nothing passes', async () => {
    const failing: Transactor = {
      transaction: () => Promise.reject(new Error('down')),
      single: () => Promise.reject(new Error('down')),
    };
    const defaults = { requestsPerMinute: 1, issuancePerMinute: 1 };
    const rest = { clock: new ManualClock(new Date()), defaults, authorityId: db.authorityId, log: silent };
    const quotas = new Quotas({ plane: 'est', database: failing, ...rest });
    await expect(quotas.take('requests', randomUUID(), actor)).rejects.toThrow('down');
    await expect(quotas.take('requests', randomUUID(), actor)).rejects.toThrow('down');
  });
});

describe('an organization’s own quota', () => {
  beforeEach(freshMinute);
  const vendor = () => createOrganization(api, db.operator, { name: 'V', kind: 'vendor' });
  const reader = (organizationId: string): Actor => ({ ...db.operator, organizationId, authority: false });

  test('holds in every process 5 s after it was changed, up and down', async () => {
    const { id } = await vendor();
    const clock = new ManualClock(new Date());
    const processes = [await makeProcess('api', 100, clock), await makeProcess('est', 100, clock)];
    expect(await admitted(processes, id, 150)).toBe(100);
    await changeQuotas(api, db.operator, id, { requestsPerMinute: 130, issuancePerMinute: null });
    clock.advance(5000);
    expect(await admitted(processes, id, 150)).toBe(30);
    await changeQuotas(api, db.operator, id, { requestsPerMinute: 10, issuancePerMinute: null });
    await nextMinute(clock);
    expect(await admitted(processes, id, 50)).toBe(10);
  });

  test('is audited with what it was before, and shown to its organization and the authority alone', async () => {
    const { id } = await vendor();
    const quotas = { requestsPerMinute: 7, issuancePerMinute: 9 };
    await changeQuotas(api, db.operator, id, quotas);
    expect(await readQuotas(api, db.operator, id)).toEqual(quotas);
    expect(await readQuotas(api, reader(id), id)).toEqual(quotas);
    const provider = await createOrganization(api, db.operator, { name: 'P', kind: 'provider' });
    for (const foreign of [provider.id, (await vendor()).id, randomUUID()])
      await expect(readQuotas(api, reader(id), foreign)).rejects.toMatchObject({
        kind: 'notFound',
        detail: 'no such organization',
      });
    const [entry] = await db.sql<{ canonical: Buffer }>(
      `select canonical from audit where action = 'quota.changed' and subject = $1`,
      [`organization:${id}`],
    );
    expect(JSON.parse(entry!.canonical.toString())).toMatchObject({
      detail: { before: { requestsPerMinute: null, issuancePerMinute: null }, after: quotas },
    });
  });

  test('that is exceeded leaves one entry a minute, whichever process refuses', async () => {
    const { id } = await vendor();
    const clock = new ManualClock(new Date());
    const processes = [await makeProcess('api', 5, clock), await makeProcess('est', 5, clock)];
    const entries = async () =>
      (await db.sql(`select 1 from audit where action = 'quota.exceeded' and subject = $1`, [`organization:${id}`]))
        .length;
    for (let round = 0; round < 3; round++) {
      await admitted(processes, id, 40);
      clock.advance(5000);
    }
    expect(await entries()).toBe(1);
    await nextMinute(clock);
    await admitted(processes, id, 40);
    expect(await entries()).toBe(2);
  });
});

describe('issuance', () => {
  beforeEach(freshMinute);

  /** A vendor that may have `issuance` certificates and keys a minute. */
  async function limitedProduct(issuance: number) {
    const product = await makeProduct(api, db.operator);
    await changeQuotas(api, db.operator, product.vendorId, { requestsPerMinute: null, issuancePerMinute: issuance });
    return product;
  }

  test('by EST counts for the vendor: beyond it nothing is recorded, and a repeated request costs nothing', async () => {
    const product = await limitedProduct(2);
    const [one, two, three] = [
      await makeDevice(db, product),
      await makeDevice(db, product),
      await makeDevice(db, product),
    ];
    const [key, later] = [newKey(), newKey()];
    const first = await enroll(est, enrollRequest(one, key));
    expect(await enroll(est, enrollRequest(one, key))).toEqual(first);
    const second = await enroll(est, renewRequest(one.device, first, later));
    expect(await enroll(est, renewRequest(one.device, first, later))).toEqual(second);

    const before = await db.sql(`select count(*) from certificates`);
    await expect(enroll(est, enrollRequest(two, newKey()))).rejects.toEqual(exceeded);
    await expect(enroll(est, renewRequest(one.device, second, newKey()))).rejects.toEqual(exceeded);
    expect(await db.sql(`select count(*) from certificates`)).toEqual(before);
    expect(await db.sql(`select state from enrollment_secrets where device_id = $1`, [three.device.id])).toEqual([
      { state: 'free' },
    ]);
    await enroll(est, enrollRequest(await makeDevice(db), newKey()));
  });

  test('of keys counts for the vendor too, whoever issues them', async () => {
    const { releaseId } = await limitedProduct(2);
    const request = { releaseId, audience: 'all', environment: 'live' } as const;
    const { row } = await issueKey(api, db.operator, request);
    await rotateKey(api, db.operator, row.id, { overlapSeconds: 60 });
    await expect(issueKey(api, db.operator, { ...request, environment: 'test' })).rejects.toEqual(exceeded);
    const other = await makeProduct(api, db.operator);
    await issueKey(api, db.operator, { ...request, releaseId: other.releaseId });
  });

  test('that was refused for another reason is not counted', async () => {
    const { releaseId } = await limitedProduct(2);
    const request = { releaseId, audience: 'all', environment: 'live' } as const;
    await expect(
      issueKey(api, db.operator, { ...request, audience: { providers: [randomUUID()] } }),
    ).rejects.toMatchObject({ kind: 'invalid' });
    await issueKey(api, db.operator, request);
    await issueKey(api, db.operator, request);
    await expect(issueKey(api, db.operator, request)).rejects.toMatchObject({ kind: 'conflict' });
  });
});
