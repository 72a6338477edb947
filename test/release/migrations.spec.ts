import { readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ensureAuthority } from '#authority';
import { systemClock } from '#kernel';
import { Database, migrate, migrateDown } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { PASSWORDS } from '../harness/template.js';

const DIRECTORY = path.join(import.meta.dirname, '../../migrations');
const NOW = new Date('2026-03-01T12:00:00Z');

let db: TestDatabase;
beforeAll(async () => {
  db = await startTestDatabase({ upTo: 'schema' });
});
beforeEach(async () => {
  await migrateDown(db.superuser);
});
afterAll(() => db.stop());

const up = () => migrate(db.superuser, PASSWORDS, NOW);

/** Tables, columns, constraints, indexes, triggers, functions, policies and rights, as text. */
async function schema(): Promise<string[]> {
  const rows = await db.sql<{ line: string }>(`
    select format('column %s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
        coalesce(pg_get_expr(d.adbin, d.adrelid), '')) as line
      from pg_attribute a join pg_class c on c.oid = a.attrelid left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
      where c.relnamespace = 'touchmark'::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
    union all select format('constraint %s %s', conrelid::regclass, pg_get_constraintdef(oid)) from pg_constraint where connamespace = 'touchmark'::regnamespace
    union all select format('index %s', indexdef) from pg_indexes where schemaname = 'touchmark'
    union all select format('trigger %s', pg_get_triggerdef(t.oid)) from pg_trigger t join pg_class c on c.oid = t.tgrelid where c.relnamespace = 'touchmark'::regnamespace
    union all select format('function %s', pg_get_functiondef(oid)) from pg_proc where pronamespace = 'touchmark'::regnamespace
    union all select format('policy %s %s %s %s %s', tablename, policyname, roles, qual, with_check) from pg_policies where schemaname = 'touchmark'
    union all select format('rights %s %s', relname, relacl::text) from pg_class where relnamespace = 'touchmark'::regnamespace
    union all select format('security %s %s %s', relname, relrowsecurity, relforcerowsecurity) from pg_class where relnamespace = 'touchmark'::regnamespace
    order by 1`);
  // Names of constraints on NOT NULL and of system triggers carry numbers that differ from run to run.
  return rows
    .map((row) => row.line.replace(/RI_ConstraintTrigger_\w+/g, 'RI').replace(/pg_toast_\d+/g, 'toast'))
    .sort();
}

describe('migrations', () => {
  test('are pairs of up and down, in one order', () => {
    const files = readdirSync(DIRECTORY);
    const stems = new Set(files.map((file) => file.replace(/\.(up|down)\.sql$/, '')));
    for (const stem of stems) {
      expect(stem).toMatch(/^\d{13}-[a-z-]+$/);
      expect(files).toContain(`${stem}.up.sql`);
      expect(files).toContain(`${stem}.down.sql`);
    }
    expect(files).toHaveLength(2 * stems.size);
    const numbers = [...stems].map((stem) => stem.slice(0, 13));
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  test('run once: a second start finds nothing to do', async () => {
    const first = await up();
    expect(first).toHaveLength(readdirSync(DIRECTORY).length / 2);
    expect(await up()).toEqual([]);
  });

  test('go up, down to nothing, and up again to the same schema', async () => {
    await up();
    const before = await schema();
    expect(before.length).toBeGreaterThan(300);
    const undone = await migrateDown(db.superuser);
    expect(undone).toBe(readdirSync(DIRECTORY).length / 2);
    const left = await db.sql<{ name: string }>(
      `select relname as name from pg_class where relnamespace = 'touchmark'::regnamespace and relkind in ('r', 'p', 'v', 'f')
       union all select proname from pg_proc where pronamespace = 'touchmark'::regnamespace`,
    );
    expect(left).toEqual([{ name: 'schema_migrations' }]);
    await up();
    expect(await schema()).toEqual(before);
  });

  test('go down with data in the tables too', async () => {
    await up();
    const owner = await Database.open(db.superuser, 1, () => undefined, { actAs: 'tm_owner' });
    await ensureAuthority({ database: owner, clock: systemClock });
    await owner.close();
    await migrateDown(db.superuser);
    await up();
    expect(await db.sql(`select 1 from organizations`)).toEqual([]);
  });

  test('started by three processes at once run once', async () => {
    const all = await Promise.all([up(), up(), up()]);
    const counts = all.map((names) => names.length).sort();
    expect(counts).toEqual([0, 0, readdirSync(DIRECTORY).length / 2]);
    expect(await db.sql(`select count(*)::int as n from schema_migrations`)).toEqual([{ n: counts[2] }]);
  });

  test('set the passwords of the roles anew at each start', async () => {
    await up();
    const changed = { ...PASSWORDS, api: "another's \\ password" };
    await migrate(db.superuser, changed, NOW);
    const api = await Database.open({ ...db.connection('api'), password: changed.api }, 1, () => undefined);
    await api.close();
    await expect(Database.open(db.connection('api'), 1, () => undefined)).rejects.toBeDefined();
    await up();
  });

  test('tell what to do where the database cannot be reached', async () => {
    const attempt = migrate({ ...db.superuser, host: '/nowhere' }, PASSWORDS, NOW);
    await expect(attempt).rejects.toMatchObject({ kind: 'unavailable' });
  });
});
