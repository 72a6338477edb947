import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { AuthorityError } from '#kernel';
import { Database, type Tx } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { PASSWORDS } from '../harness/template.js';

let db: TestDatabase;
let owner: Database;
beforeAll(async () => {
  db = await startTestDatabase({ upTo: 'schema' });
  owner = await db.as('owner');
  await owner.transaction(async (tx) => {
    await tx.run(`create table probe (id int primary key, n int not null default 0)`);
    await tx.run(`insert into probe (id) values (1), (2)`);
  });
});
afterAll(() => db.stop());

const fail = (tx: Tx, code: string) =>
  tx.run(`do $$ begin raise exception 'made to fail' using errcode = '${code}'; end $$`);
const valueOf = async (id: number) => (await db.sql<{ n: number }>(`select n from probe where id = $1`, [id]))[0]!.n;

describe('a transaction', () => {
  test('is undone as a whole when its work fails, and the error arrives as it was thrown', async () => {
    const before = await valueOf(1);
    const error = new AuthorityError('conflict', 'no');
    await expect(
      owner.transaction(async (tx) => {
        await tx.run(`update probe set n = n + 1 where id = 1`);
        throw error;
      }),
    ).rejects.toBe(error);
    expect(await valueOf(1)).toBe(before);
  });

  test.each(['40001', '40P01'])('runs again as a whole on %s, and counts once', async (code) => {
    const before = await valueOf(1);
    let runs = 0;
    await owner.transaction(async (tx) => {
      runs++;
      await tx.run(`update probe set n = n + 1 where id = 1`);
      if (runs < 3) await fail(tx, code);
    });
    expect(runs).toBe(3);
    expect(await valueOf(1)).toBe(before + 1);
  });

  test('of one statement runs again likewise', async () => {
    let runs = 0;
    const value = await owner.single(async (tx) => {
      if (++runs < 3) await fail(tx, '40P01');
      return (await tx.rows<{ one: number }>(`select 1 as one`))[0]!.one;
    });
    expect({ runs, value }).toEqual({ runs: 3, value: 1 });
  });

  test('runs three times at most', async () => {
    let runs = 0;
    const attempt = owner.transaction((tx) => {
      runs++;
      return fail(tx, '40001');
    });
    await expect(attempt).rejects.toMatchObject({ name: 'AuthorityError' });
    expect(runs).toBe(3);
  });

  test('runs once for any other failure, whose text stays inside', async () => {
    let runs = 0;
    const attempt = owner.transaction((tx) => {
      runs++;
      return fail(tx, '22012');
    });
    await expect(attempt).rejects.toMatchObject({
      kind: 'internal',
      detail: expect.not.stringContaining('made to fail'),
    });
    expect(runs).toBe(1);
  });

  test('gets over a real deadlock: both of two that lock crosswise are done', async () => {
    const before = [await valueOf(1), await valueOf(2)];
    const first = Promise.withResolvers<void>();
    const second = Promise.withResolvers<void>();
    const cross = (a: number, b: number, mine: PromiseWithResolvers<void>, other: Promise<void>) =>
      owner.transaction(async (tx) => {
        await tx.run(`update probe set n = n + 1 where id = $1`, [a]);
        mine.resolve();
        await other;
        await tx.run(`update probe set n = n + 1 where id = $1`, [b]);
      });
    await Promise.all([cross(1, 2, first, second.promise), cross(2, 1, second, first.promise)]);
    expect([await valueOf(1), await valueOf(2)]).toEqual(before.map((n) => n + 2));
  });

  test('as a snapshot sees one state and writes nothing', async () => {
    await owner.transaction(
      async (tx) => {
        const read = async () => (await tx.rows<{ n: number }>(`select n from probe where id = 1`))[0]!.n;
        const first = await read();
        await db.sql(`update probe set n = n + 1 where id = 1`);
        expect(await read()).toBe(first);
        expect(await valueOf(1)).toBe(first + 1);
      },
      { snapshot: true },
    );
    const write = owner.transaction((tx) => tx.run(`update probe set n = 0`), { snapshot: true });
    await expect(write).rejects.toMatchObject({
      cause: expect.objectContaining({ message: expect.stringMatching(/read-only/) }),
    });
  });

  test('that waits too long for a lock is "unavailable", not an error of ours', async () => {
    const api = await db.as('api');
    const held = Promise.withResolvers<void>();
    const done = Promise.withResolvers<void>();
    const holding = owner.transaction(async (tx) => {
      await tx.run(`lock table status_counter in access exclusive mode`);
      held.resolve();
      await done.promise;
    });
    await held.promise;
    await expect(api.transaction((tx) => tx.rows(`select 1 from status_counter`))).rejects.toMatchObject({
      kind: 'unavailable',
      retryAfter: 2,
    });
    done.resolve();
    await holding;
  });
});

describe('while Postgres is stopped', () => {
  test('everything is "unavailable" with a time to retry, and works again by itself afterwards', async () => {
    const api = await db.as('api');
    const read = () => api.transaction((tx) => tx.rows(`select 1 from organizations`));
    await read();
    const inFlight = api.transaction((tx) => tx.rows(`select pg_sleep(60)`));
    const cut = expect(inFlight).rejects.toMatchObject({ kind: 'unavailable' });
    await db.stopServer();
    await cut;
    for (let i = 0; i < 3; i++) await expect(read()).rejects.toMatchObject({ kind: 'unavailable', retryAfter: 2 });
    const unreachable = Database.open(db.connection('est'), 1, () => undefined);
    await expect(unreachable).rejects.toMatchObject({ kind: 'unavailable' });
    await db.startServer();
    expect(await read()).toEqual([]);
  });

  test('no public text names host, user, role or statement', async () => {
    const wrong = Database.open({ ...db.connection('api'), password: `${PASSWORDS.api}x` }, 1, () => undefined);
    const error = await wrong.then(
      () => undefined,
      (thrown: AuthorityError) => thrown,
    );
    expect(error).toBeInstanceOf(AuthorityError);
    expect(error?.detail).not.toMatch(/tm_|password|sock|select/i);
  });
});
