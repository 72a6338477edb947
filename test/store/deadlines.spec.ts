import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';

let db: TestDatabase;
beforeAll(async () => {
  db = await startTestDatabase({ upTo: 'schema' });
});
afterAll(() => db.stop());

const unavailable = expect.objectContaining({ kind: 'unavailable', retryAfter: expect.any(Number) });

async function failsAfter(work: Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await expect(work).rejects.toEqual(unavailable);
  return (performance.now() - begin) / 1000;
}

/** Both planes at once: what is measured is waiting. */
const onBoth = (work: (database: Database) => Promise<void>): Promise<unknown> =>
  Promise.all((['api', 'est'] as const).map(async (plane) => work(await db.as(plane))));

describe('what the planes ask of the database', () => {
  test('is given up after 5 s', () =>
    onBoth(async (database) => {
      const seconds = await failsAfter(database.rows(`select pg_sleep(30)`));
      expect(seconds).toBeGreaterThan(4.5);
      expect(seconds).toBeLessThan(8);
    }));

  test('waits for a lock no longer than 2 s', async () => {
    const owner = await db.as('owner');
    await owner.transaction(async (tx) => {
      await tx.rows(`select pg_advisory_xact_lock(7)`);
      await onBoth(async (database) => {
        const seconds = await failsAfter(database.rows(`select pg_advisory_xact_lock(7)`));
        expect(seconds).toBeGreaterThan(1.5);
        expect(seconds).toBeLessThan(4.5);
      });
    });
  });

  test('is let go, with its locks, after 10 s in which the process says nothing more', async () => {
    const owner = await db.as('owner');
    let next = 8;
    await onBoth(async (database) => {
      const lock = `select pg_advisory_xact_lock(${next++})`;
      const begin = performance.now();
      const silent = database.transaction(async (tx) => {
        await tx.rows(lock);
        await delay(12_000);
        await tx.rows(`select 1`);
      });
      const refused = expect(silent).rejects.toEqual(unavailable);
      await delay(1000);
      await owner.transaction((tx) => tx.rows(lock));
      const seconds = (performance.now() - begin) / 1000;
      expect(seconds).toBeGreaterThan(8);
      expect(seconds).toBeLessThan(11.9);
      await refused;
    });
  });
});
