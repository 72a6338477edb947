import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { appendStatusChanges, abandonIntent, storeSigned, type StatusChange, type Tx } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { plantedAudit, plantIntent } from './rows.js';

let db: TestDatabase;
const audit = plantedAudit(new Date('2026-03-01T12:00:00Z'));
beforeAll(async () => {
  db = await startTestDatabase();
});
afterAll(() => db.stop());

const cause = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
  } catch (error) {
    return String((error as Error).cause ?? error);
  }
  throw new Error('accepted');
};

const inWorker = async <T>(work: (tx: Tx) => Promise<T>): Promise<T> => (await db.as('worker')).transaction(work);

describe('a serial number', () => {
  test('is taken once, whoever asks', async () => {
    const { serial } = await plantIntent(db);
    expect(await cause(plantIntent(db, { serial }))).toMatch(/serials_pkey/);
  });

  test.each(['issued', 'abandoned'])('leaves "issuing" for %s and never moves again', async (state) => {
    const { serial } = await plantIntent(db);
    const set = (to: string) =>
      inWorker((tx) => tx.run(`update serials set state = $2 where serial = $1`, [serial, to]));
    expect(await set(state)).toBe(1);
    for (const to of ['issuing', 'issued', 'abandoned']) {
      expect(await cause(set(to))).toMatch(/cannot become/);
      // Nor for a superuser: the trigger knows no roles.
      await expect(db.sql(`update serials set state = $2 where serial = $1`, [serial, to])).rejects.toThrow(
        /cannot become/,
      );
    }
  });
});

describe('a certificate', () => {
  test('gets its DER once', async () => {
    const intent = await plantIntent(db);
    const store = (der: Buffer) =>
      inWorker((tx) => tx.run(`update certificates set der = $2 where serial = $1`, [intent.serial, der]));
    const der = randomBytes(64);
    expect(await store(der)).toBe(1);
    expect(await cause(store(randomBytes(64)))).toMatch(/written once/);
    await expect(db.sql(`update certificates set der = null where serial = $1`, [intent.serial])).rejects.toThrow(
      /written once/,
    );
  });

  test('is superseded once', async () => {
    const old = await plantIntent(db);
    const mark = (by: Buffer) =>
      inWorker((tx) => tx.run(`update certificates set superseded_by = $2 where serial = $1`, [old.serial, by]));
    expect(await mark(randomBytes(17))).toBe(1);
    expect(await cause(mark(randomBytes(17)))).toMatch(/written once/);
    await expect(
      db.sql(`update certificates set superseded_by = null where serial = $1`, [old.serial]),
    ).rejects.toThrow(/written once/);
  });

  test('keeps everything else as it was recorded: no plane may change it', async () => {
    const columns = await db.sql<{ name: string }>(
      `select column_name as name from information_schema.columns
       where table_schema = 'touchmark' and table_name = 'certificates' and column_name not in ('der', 'superseded_by')`,
    );
    expect(columns.length).toBeGreaterThan(15);
    for (const plane of ['api', 'est', 'worker', 'responder', 'signer']) {
      for (const { name } of columns) {
        const [row] = await db.sql<{ may: boolean }>(
          `select has_column_privilege($1, 'touchmark.certificates', $2, 'update') as may`,
          [`tm_${plane}`, name],
        );
        expect({ plane, name, may: row?.may }).toEqual({ plane, name, may: false });
      }
    }
  });

  test('is stored by the first of two that signed it, and the other one learns that', async () => {
    const intent = await plantIntent(db);
    const row = { serial: intent.serial, notAfter: intent.notAfter, supersedes: null, deviceId: null };
    expect(await inWorker((tx) => storeSigned(tx, { ...row, der: Buffer.from('first') }, audit))).toBe(true);
    expect(await inWorker((tx) => storeSigned(tx, { ...row, der: Buffer.from('second') }, audit))).toBe(false);
    const [stored] = await db.sql<{ der: Buffer }>(`select der from certificates where serial = $1`, [intent.serial]);
    expect(stored?.der.toString()).toBe('first');
  });

  test('is not stored once its intent was abandoned, and not abandoned once it is stored', async () => {
    const gone = await plantIntent(db);
    expect(await inWorker((tx) => abandonIntent(tx, gone.serial))).toBe(true);
    const late = {
      serial: gone.serial,
      notAfter: gone.notAfter,
      der: randomBytes(8),
      supersedes: null,
      deviceId: null,
    };
    expect(await inWorker((tx) => storeSigned(tx, late, audit))).toBe(false);
    const kept = await plantIntent(db);
    expect(
      await inWorker((tx) => storeSigned(tx, { ...late, serial: kept.serial, notAfter: kept.notAfter }, audit)),
    ).toBe(true);
    expect(await inWorker((tx) => abandonIntent(tx, kept.serial))).toBe(false);
  });
});

describe('history', () => {
  const change: StatusChange = {
    kind: 'device',
    subject: 'd',
    status: 'revoked',
    reason: null,
    at: new Date('2026-03-01T12:00:00Z'),
    invalidityDate: null,
    endsAt: null,
    issuerId: null,
    shard: null,
    notAfter: null,
  };

  beforeAll(async () => {
    await inWorker((tx) => appendStatusChanges(tx, db.macKey, [change]));
  });

  const rewrites = {
    audit: [`update audit set actor = 'somebody'`, `delete from audit`, `truncate audit`],
    status_changes: [
      `update status_changes set status = 'active'`,
      `delete from status_changes`,
      `truncate status_changes`,
    ],
  };

  test.each(Object.entries(rewrites))(
    '%s is never rewritten, not by its owner and not by a superuser',
    async (table, statements) => {
      const owner = await db.as('owner');
      const count = async () => (await db.sql<{ n: number }>(`select count(*)::int as n from ${table}`))[0]!.n;
      const before = await count();
      expect(before).toBeGreaterThan(0);
      for (const statement of statements) {
        expect(await cause(owner.transaction((tx) => tx.run(statement)))).toMatch(/append-only/);
        await expect(db.sql(statement)).rejects.toThrow(/append-only/);
      }
      expect(await count()).toBe(before);
    },
  );

  test.each(Object.keys(rewrites))('the partitions of %s refuse it too', async (table) => {
    const partitions = await db.sql<{ name: string }>(
      `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = $1::regclass`,
      [`touchmark.${table}`],
    );
    expect(partitions.length).toBeGreaterThan(1);
    let refused = 0;
    for (const { name } of partitions) {
      const [row] = await db.sql<{ n: number }>(`select count(*)::int as n from ${name}`);
      await expect(db.sql(`truncate ${name}`)).rejects.toThrow(/append-only/);
      if (row!.n === 0) continue;
      await expect(db.sql(`delete from ${name}`)).rejects.toThrow(/append-only/);
      refused++;
    }
    expect(refused).toBe(1);
  });

  test.each(Object.keys(rewrites))('no plane was granted to rewrite %s', async (table) => {
    for (const plane of ['api', 'est', 'worker', 'responder', 'signer']) {
      for (const verb of ['update', 'delete', 'truncate']) {
        const [row] = await db.sql<{ may: boolean }>(`select has_table_privilege($1, $2, $3) as may`, [
          `tm_${plane}`,
          `touchmark.${table}`,
          verb,
        ]);
        expect({ plane, verb, may: row?.may }).toEqual({ plane, verb, may: false });
      }
    }
  });
});
