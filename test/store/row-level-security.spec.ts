import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createDeviceGroup, createOrganization, issueKey, type Actor } from '#authority';
import type { Database, Scope } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makeEnrolled, makeProduct } from '../harness/fixtures.js';

/** Tables whose rows belong to somebody: `organizations` by its own id, the others by owner and issuer. */
const TENANT_TABLES = [
  'apps',
  'releases',
  'device_groups',
  'devices',
  'certificates',
  'keys',
  'audit',
  'organizations',
];

let db: TestDatabase;
let api: Database;
let vendor: Scope;
let stranger: Scope;
let tester: Scope;
const everything: Scope = { organizationId: randomUUID(), authority: true };

beforeAll(async () => {
  db = await startTestDatabase();
  const context = await db.context('api');
  api = await db.as('api');
  const testing = await createOrganization(context, db.operator, { name: 'Tester', kind: 'testing' });
  const other = await createOrganization(context, db.operator, { name: 'Stranger', kind: 'vendor' });
  const asTester: Actor = { ...db.operator, organizationId: testing.id, authority: true };
  const product = await makeProduct(context, asTester);
  await createDeviceGroup(context, asTester, { name: 'Cameras', vendorId: product.vendorId });
  await issueKey(context, asTester, { releaseId: product.releaseId, audience: 'all', environment: 'live' });
  await makeEnrolled(db, product);
  vendor = { organizationId: product.vendorId, authority: false };
  tester = { organizationId: testing.id, authority: false };
  stranger = { organizationId: other.id, authority: false };
});
afterAll(() => db.stop());

const count = (table: string, scope: Scope | undefined, where = 'true'): Promise<number> =>
  api.transaction(
    async (tx) => (await tx.rows<{ n: number }>(`select count(*)::int as n from ${table} where ${where}`))[0]!.n,
    scope ? { scope } : {},
  );

test('every table with an owner has row-level security, forced on its owner too', async () => {
  const rows = await db.sql<{ name: string; on: boolean; forced: boolean }>(
    `select distinct c.relname as name, c.relrowsecurity as on, c.relforcerowsecurity as forced
     from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relnamespace = 'touchmark'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
       and (a.attname in ('owner_org_id', 'issuer_org_id') or c.relname = 'organizations') order by 1`,
  );
  expect(rows.map((row) => row.name)).toEqual([...TENANT_TABLES].sort());
  expect(rows.filter((row) => !row.on || !row.forced)).toEqual([]);
});

describe.each(TENANT_TABLES)('of %s the api plane sees', (table) => {
  test('no row without a scope', async () => {
    expect(await count(table, undefined)).toBe(0);
  });

  test('no row of others in the scope of a stranger', async () => {
    const own =
      table === 'organizations'
        ? `id <> '${stranger.organizationId}'`
        : table === 'audit'
          ? `owner_org_id <> '${stranger.organizationId}'`
          : 'true';
    expect(await count(table, stranger, own)).toBe(0);
  });

  test('the rows of a vendor in its own scope, and all in that of the authority', async () => {
    const [all] = await db.sql<{ n: number }>(`select count(*)::int as n from ${table}`);
    const seen = await count(table, vendor);
    expect(seen).toBeGreaterThan(0);
    expect(await count(table, everything)).toBe(all!.n);
  });

  test('no row of a foreign id, named outright', async () => {
    const key = table === 'certificates' ? 'serial' : 'id';
    const [row] = await db.sql<{ id: string }>(
      table === 'organizations'
        ? `select id::text from organizations where id = '${vendor.organizationId}'`
        : `select ${key}::text as id from ${table} where owner_org_id = '${vendor.organizationId}' limit 1`,
    );
    expect(await count(table, vendor, `${key}::text = '${row!.id}'`)).toBe(1);
    expect(await count(table, stranger, `${key}::text = '${row!.id}'`)).toBe(0);
    expect(await count(table, undefined, `${key}::text = '${row!.id}'`)).toBe(0);
  });
});

test('the testing organization sees what it vouches for', async () => {
  for (const table of ['apps', 'releases', 'device_groups', 'devices', 'certificates', 'keys', 'audit']) {
    expect({ table, seen: (await count(table, tester)) > 0 }).toEqual({ table, seen: true });
  }
});

test('a scope ends with its transaction, on the same connection too', async () => {
  const connections = new Set<number>();
  for (let i = 0; i < 60; i++) {
    const scoped = i % 2 === 0;
    const [row] = await api.transaction(
      (tx) => tx.rows<{ pid: number; n: number }>(`select pg_backend_pid() as pid, count(*)::int as n from devices`),
      scoped ? { scope: vendor } : {},
    );
    connections.add(row!.pid);
    expect(row!.n > 0).toBe(scoped);
  }
  expect(connections.size).toBeLessThan(30);
});

describe('nobody writes for others', () => {
  const write = (sql: string, scope: Scope) => api.transaction((tx) => tx.run(sql), { scope });
  const refused = expect.objectContaining({
    cause: expect.objectContaining({ message: expect.stringMatching(/row-level security/) }),
  });

  test('an app of another vendor is not made', async () => {
    const app = (org: string) =>
      `insert into apps (id, name, owner_org_id, issuer_org_id) values ('${randomUUID()}', 'x', '${org}', '${org}')`;
    await expect(write(app(vendor.organizationId), stranger)).rejects.toEqual(refused);
    expect(await write(app(stranger.organizationId), stranger)).toBe(1);
  });

  test('a row of another vendor is not changed', async () => {
    expect(await write(`update device_groups set status = 'revoked'`, stranger)).toBe(0);
    expect(await write(`update keys set status = 'active'`, stranger)).toBe(0);
    expect(await write(`update devices set status = 'enrolled'`, stranger)).toBe(0);
    expect(await write(`update certificates set superseded_by = '\\x01'`, stranger)).toBe(0);
  });

  test.each(['provider', 'testing', 'vendor', 'authority'])(
    'an organization of kind %s is not made by a vendor',
    async (kind) => {
      const sql = `insert into organizations (id, kind, name) values ('${randomUUID()}', '${kind}', 'x')`;
      await expect(write(sql, vendor)).rejects.toEqual(refused);
    },
  );

  test('a second authority is not made by anybody', async () => {
    const sql = `insert into organizations (id, kind, name) values ('${randomUUID()}', 'authority', 'x')`;
    await expect(write(sql, everything)).rejects.toEqual(refused);
    await expect(db.sql(sql)).rejects.toThrow(/organizations_one_authority/);
  });
});

test('a scope that is not an organization is refused before any statement runs', async () => {
  for (const organizationId of ['', 'x', `' or true --${randomBytes(8).toString('hex')}`]) {
    const attempt = api.transaction(() => Promise.reject(new Error('ran')), {
      scope: { organizationId, authority: false },
    });
    await expect(attempt).rejects.toMatchObject({ kind: 'internal', detail: 'scope without organization' });
  }
});
