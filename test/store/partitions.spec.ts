import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { addSeconds, ManualClock } from '#kernel';
import { appendStatusChanges, ensurePartitions, type StatusChange } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { plantIntent } from './rows.js';

const NOW = new Date('2026-11-30T23:59:59.500Z');
const DAY = 86_400;

let db: TestDatabase;
beforeAll(async () => {
  db = await startTestDatabase({ clock: new ManualClock(NOW) });
});
afterAll(() => db.stop());

const partitionsOf = async (table: string): Promise<string[]> => {
  const rows = await db.sql<{ name: string }>(
    `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = $1::regclass order by 1`,
    [`touchmark.${table}`],
  );
  return rows.map((row) => row.name);
};

test('partitions are made for this month and six more, and two blocks of the numbered tables', async () => {
  const months = await partitionsOf('certificates');
  expect(months).toHaveLength(8);
  expect(months[0]).toBe('certificates_2026_11');
  expect(months.at(-2)).toBe('certificates_2027_05');
  expect(await partitionsOf('status_changes')).toEqual([
    'status_changes_000000',
    'status_changes_000001',
    'status_changes_default',
  ]);
  expect(await partitionsOf('audit')).toEqual(['audit_000000', 'audit_000001', 'audit_default']);
});

test('making them again makes nothing; a month later it makes one', async () => {
  const make = async (at: Date) =>
    (await db.sql<{ made: number }>(`select ensure_partitions($1) as made`, [at]))[0]!.made;
  expect(await make(NOW)).toBe(0);
  expect(await make(addSeconds(NOW, 1))).toBe(1);
  expect(await make(addSeconds(NOW, 1))).toBe(0);
});

test('the worker makes them by itself', async () => {
  expect(await (await db.as('worker')).transaction(ensurePartitions)).toBeGreaterThanOrEqual(0);
});

test.each([
  ['certificates_2026_11', new Date('2026-11-30T23:59:59.999Z')],
  ['certificates_2026_12', new Date('2026-12-01T00:00:00.000Z')],
  ['certificates_2027_02', addSeconds(NOW, 90 * DAY)],
  ['certificates_default', new Date('2046-01-01T00:00:00Z')],
])(
  'a certificate lies in %s by the end of its life, whatever the time zone of the session',
  async (partition, notAfter) => {
    const { serial } = await plantIntent(db, { notAfter });
    const [row] = await db.sql<{ name: string }>(
      `select tableoid::regclass::text as name from certificates where serial = $1`,
      [serial],
    );
    expect(row!.name.replace(/^touchmark\./, '')).toBe(partition);
  },
);

test('rows of the log and of the audit trail lie in the block of their number, across its border', async () => {
  await db.tamper(`update status_counter set seq = 9999998`);
  const worker = await db.as('worker');
  const change: StatusChange = {
    kind: 'device',
    subject: 'd',
    status: 'suspended',
    reason: null,
    at: NOW,
    invalidityDate: null,
    endsAt: null,
    issuerId: null,
    shard: null,
    notAfter: null,
  };
  await worker.transaction((tx) => appendStatusChanges(tx, db.macKey, [change, change, change]));
  const rows = await db.sql(
    `select seq::int, tableoid::regclass::text as name from status_changes where seq > 1000 order by seq`,
  );
  expect(rows).toEqual([
    { seq: 9_999_999, name: 'status_changes_000000' },
    { seq: 10_000_000, name: 'status_changes_000001' },
    { seq: 10_000_001, name: 'status_changes_000001' },
  ]);
  await worker.transaction(ensurePartitions);
  expect(await partitionsOf('status_changes')).toContain('status_changes_000002');
  expect((await db.sql<{ n: number }>(`select count(*)::int as n from audit_000000`))[0]!.n).toBeGreaterThan(0);
  expect((await db.sql<{ n: number }>(`select count(*)::int as n from audit_default`))[0]!.n).toBe(0);
});

test('a new partition is under the rules of its table: row-level security by the parent, history not truncated', async () => {
  const [row] = await db.sql<{ n: number }>(
    `select count(*)::int as n from pg_trigger t join pg_class c on c.oid = t.tgrelid
     where c.relname in ('status_changes_000002', 'audit_000001') and t.tgname like '%no_truncate'`,
  );
  expect(row!.n).toBe(2);
});
