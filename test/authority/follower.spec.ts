import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { issueKey } from '#authority';
import { ManualClock, systemClock } from '#kernel';
import type { Follower } from '#status';
import { appendStatusChanges, type StatusChange } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makeProduct } from '../harness/fixtures.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await startTestDatabase();
});
afterAll(() => db.stop());

function change(subject: string, rest: Partial<StatusChange> = {}): StatusChange {
  return {
    kind: 'certificate',
    subject,
    status: 'revoked',
    reason: 'superseded',
    at: db.clock.now(),
    invalidityDate: null,
    endsAt: null,
    issuerId: null,
    shard: null,
    notAfter: null,
    ...rest,
  };
}

const append = async (...changes: StatusChange[]): Promise<number> =>
  (await db.as('worker')).transaction((tx) => appendStatusChanges(tx, db.macKey, changes));

/** Each holds a connection to listen on: they are stopped after each spec. */
const followers: Follower[] = [];
afterEach(async () => {
  for (const one of followers.splice(0)) await one.stop();
});

/** Errors of a follower are kept, so that a spec can say which one came. */
async function follow(
  options: Parameters<TestDatabase['follower']>[0] = {},
): Promise<{ follower: Follower; errors: Error[] }> {
  const errors: Error[] = [];
  const follower = await db.follower({ pollMs: 5000, onError: (error) => errors.push(error), ...options });
  followers.push(follower);
  return { follower, errors };
}

describe('following', () => {
  test('catchUp returns when the row is applied, not before', async () => {
    const { follower } = await follow();
    await follower.start();
    const seq = await append(change('c1'));
    expect(follower.index.certificate('c1')).toBeUndefined();
    await follower.catchUp(seq);
    expect(follower.index.certificate('c1')?.status).toBe('revoked');
    expect(follower.index.seq).toBeGreaterThanOrEqual(seq);
  });

  test('many waiting at once share a few reads', async () => {
    const { follower } = await follow();
    await follower.start();
    const seqs = await Promise.all(Array.from({ length: 20 }, (_, n) => append(change(`c2${n}`))));
    await Promise.all(seqs.map((seq) => follower.catchUp(seq)));
    for (let n = 0; n < 20; n++) expect(follower.index.certificate(`c2${n}`)).toBeDefined();
  });

  const applied = (follower: Follower, subject: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const deadline = systemClock.monotonicMs() + 5000;
      const look = () => {
        if (follower.index.certificate(subject)) resolve();
        else if (systemClock.monotonicMs() > deadline) reject(new Error(`${subject} was not applied`));
        else setTimeout(look, 2);
      };
      look();
    });

  test('a notification brings a row long before the next poll', async () => {
    const { follower } = await follow({ pollMs: 60_000 });
    await follower.start();
    await append(change('c3'));
    await applied(follower, 'c3');
  });

  test('polling suffices where notifications are lost', async () => {
    const { follower } = await follow({ pollMs: 20 });
    await follower.start();
    const killed = await db.sql(
      `select pg_terminate_backend(pid) from pg_stat_activity where query = 'listen touchmark_status' or query like 'LISTEN%'`,
    );
    expect(killed.length).toBeGreaterThan(0);
    await append(change('c4'));
    await applied(follower, 'c4');
    expect(follower.broken).toBeUndefined();
  });

  test('a stopped database is no broken log: the follower grows old, then catches up', async () => {
    const clock = new ManualClock(db.clock.now());
    const { follower } = await follow({ clock, pollMs: 20 });
    await follower.start();
    await db.stopServer();
    clock.advance(61_000);
    await expect(follower.catchUp(follower.index.seq + 1)).rejects.toMatchObject({ kind: 'unavailable' });
    expect(follower.broken).toBeUndefined();
    expect(() => follower.assertFresh(60_000)).toThrow(expect.objectContaining({ kind: 'unavailable' }));
    await db.startServer();
    await follower.catchUp(await append(change('c5')));
    expect(follower.index.certificate('c5')).toBeDefined();
    expect(() => follower.assertFresh(60_000)).not.toThrow();
  });

  test('catchUp of a number that never comes ends when the follower stops', async () => {
    const { follower } = await follow();
    await follower.start();
    const waiting = follower.catchUp(follower.index.seq + 1_000_000);
    await follower.stop();
    await waiting;
  });

  test('a plane without the pepper follows certificates, devices and groups, and no credential', async () => {
    const { follower } = await follow({ plane: 'responder', peppers: undefined });
    await follower.start();
    await follower.catchUp(await append(change('c6')));
    expect(follower.index.certificate('c6')).toBeDefined();
    const api = await db.context('api');
    const { releaseId } = await makeProduct(api, db.operator);
    const { row, seq } = await issueKey(api, db.operator, { releaseId, audience: 'all', environment: 'live' });
    await follower.catchUp(seq);
    expect(follower.index.key(row.id)).toBeUndefined();
  });

  test('100,000 rows are loaded and checked', async () => {
    for (let block = 0; block < 100; block++) {
      await append(...Array.from({ length: 1000 }, (_, n) => change(`e${block}x${n}`)));
    }
    const { follower } = await follow();
    const begin = systemClock.monotonicMs();
    await follower.start();
    const ms = Math.round(systemClock.monotonicMs() - begin);
    process.stdout.write(`follower: ${follower.index.seq} rows loaded and checked in ${ms} ms\n`);
    expect(follower.index.certificateCount).toBeGreaterThan(100_000);
    expect(ms).toBeLessThan(20_000);
  });
});
