import { setTimeout as delay } from 'node:timers/promises';
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { FailedAttempts, SharedFailures } from '#authority';
import { AuthorityError, ManualClock } from '#kernel';
import type { Database } from '#store';
import { silent, startTestDatabase, type TestDatabase } from '../harness/database.js';

const LIMITS = { perAddressPerMinute: 100, perSecretPerMinute: 5 };

let db: TestDatabase;
let opened: SharedFailures[] = [];
beforeAll(async () => {
  db = await startTestDatabase({ upTo: 'schema' });
});
afterAll(() => db.stop());
afterEach(async () => {
  for (const one of opened) await one.stop();
  opened = [];
});
beforeEach(async () => {
  const [row] = await db.sql<{ left: number }>(
    `select extract(epoch from date_trunc('minute', now()) + interval '1 minute' - now())::float8 as left`,
  );
  if (row!.left < 10) await delay(row!.left * 1000 + 50);
});

interface Process {
  attempts: FailedAttempts;
  clock: ManualClock;
}

/** What another process has: its own memory, the same database. */
async function makeProcess(
  options: { plane?: 'api' | 'est'; database?: Pick<Database, 'single' | 'listen'>; listens?: boolean } = {},
): Promise<Process> {
  const { plane = 'est', listens = true } = options;
  const clock = new ManualClock(new Date());
  const database = options.database ?? (await db.as(plane));
  const shared = new SharedFailures({ plane, database, clock, macKey: db.macKey, log: silent });
  if (listens) {
    await shared.start();
    opened.push(shared);
  }
  return { attempts: new FailedAttempts(clock, LIMITS, shared), clock };
}

async function fail({ attempts }: Process, address: string, secret?: string): Promise<void> {
  attempts.check(address, secret);
  attempts.record(address, secret);
  await attempts.settle();
}

const refused = ({ attempts }: Process, address: string, secret?: string): number | undefined => {
  try {
    attempts.check(address, secret);
    return undefined;
  } catch (error) {
    return (error as AuthorityError).retryAfter;
  }
};

async function eventually(check: () => boolean): Promise<void> {
  const until = performance.now() + 5000;
  while (!check()) {
    if (performance.now() > until) throw new Error('not within 5 s');
    await delay(5);
  }
}

describe('failed authentications over all processes together', () => {
  test('five with one secret, wherever they were tried, are all: every process refuses the sixth', async () => {
    const processes = await Promise.all([0, 1, 2, 3].map(() => makeProcess()));
    const secret = randomUUID();
    for (let i = 0; i < 5; i++) await fail(processes[i % 4]!, `198.51.100.${i}`, secret);
    for (const [n, one] of processes.entries()) {
      await eventually(() => refused(one, `203.0.113.${n}`, secret) !== undefined);
      expect(refused(one, `203.0.113.${n}`, randomUUID())).toBeUndefined();
    }
  });

  test('a hundred of one address are all, and others are let through', async () => {
    const processes = await Promise.all([0, 1, 2, 3].map(() => makeProcess()));
    const address = '198.51.100.77';
    for (let i = 0; i < 100; i++) await fail(processes[i % 4]!, address);
    for (const one of processes) {
      await eventually(() => refused(one, address) !== undefined);
      expect(refused(one, '198.51.100.78')).toBeUndefined();
    }
  });

  test('a process that missed the word learns of it at its next failure', async () => {
    const [told, deaf] = [await makeProcess(), await makeProcess({ listens: false })];
    const secret = randomUUID();
    for (let i = 0; i < 5; i++) await fail(told, '198.51.100.1', secret);
    expect(refused(deaf, '198.51.100.2', secret)).toBeUndefined();
    await fail(deaf, '198.51.100.2', secret);
    expect(refused(deaf, '198.51.100.3', secret)).toBe(60);
  });

  test('after a minute everybody may try again', async () => {
    const [one, other] = [await makeProcess(), await makeProcess()];
    const secret = randomUUID();
    for (let i = 0; i < 5; i++) await fail(one, '198.51.100.1', secret);
    await eventually(() => refused(other, '198.51.100.2', secret) !== undefined);
    for (const { clock } of [one, other]) clock.advance(60_000);
    for (const process of [one, other]) expect(refused(process, '198.51.100.1', secret)).toBeUndefined();
  });

  test('of the EST plane do not shut anybody out of the API plane', async () => {
    const [est, api] = [await makeProcess(), await makeProcess({ plane: 'api' })];
    const address = '198.51.100.99';
    for (let i = 0; i < 100; i++) await fail(est, address);
    const other = await makeProcess();
    await fail(other, address);
    expect(refused(other, address)).toBeDefined();
    await fail(api, address);
    expect(refused(api, address)).toBeUndefined();
  });

  test('many at once are added by few statements, and none is forgotten', async () => {
    const database = await db.as('est');
    let statements = 0;
    const single: Database['single'] = (work) => (statements++, database.single(work));
    const listen: Database['listen'] = (...args) => database.listen(...args);
    const { attempts } = await makeProcess({ database: { single, listen } });
    const before = await db.sql<{ n: number }>(`select coalesce(sum(count), 0)::int as n from failed_attempts`);
    for (let i = 0; i < 500; i++) attempts.record(`10.0.${i % 10}.1`);
    await attempts.settle();
    const after = await db.sql<{ n: number }>(`select sum(count)::int as n from failed_attempts`);
    expect(after[0]!.n - before[0]!.n).toBe(500);
    expect(statements).toBeLessThan(5);
  });

  test('leave neither address nor secret in the database', async () => {
    const secret = randomUUID();
    await fail(await makeProcess(), '198.51.100.123', secret);
    const dump = await db.dump();
    expect(dump).toContain('== touchmark.failed_attempts');
    expect(dump).not.toContain('198.51.100.123');
    expect(dump).not.toContain(secret);
  });

  test('are counted here alone while the database is down; who does not fail asks it nothing', async () => {
    const single: Database['single'] = () => Promise.reject(new AuthorityError('unavailable', 'down'));
    const listen: Database['listen'] = () => Promise.reject(new AuthorityError('unavailable', 'down'));
    const one = await makeProcess({ database: { single, listen } });
    const secret = randomUUID();
    for (let i = 0; i < 5; i++) await fail(one, '198.51.100.1', secret);
    expect(refused(one, '198.51.100.2', secret)).toBe(60);
    expect(refused(one, '198.51.100.1')).toBeUndefined();
  });
});
