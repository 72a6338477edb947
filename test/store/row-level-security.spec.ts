import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  allowLateRenewal,
  callRenewal,
  createDeviceGroup,
  createOrganization,
  enrollOverEst,
  issueKey,
  registerDevice,
  registerTransportKey,
  type Actor,
} from '#authority';
import { loadConfig } from '#kernel';
import { profiles, shippedLabel } from '#policy';
import type { Database, Scope } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { enrollRequest, makeDevice, makeEnrolled, makeProduct } from '../harness/fixtures.js';

/** Tables whose rows belong to somebody: `organizations` by its own id, these others by owner and issuer. */
const TENANT_TABLES = [
  'apps',
  'releases',
  'device_groups',
  'devices',
  'certificates',
  'keys',
  'audit',
  'organizations',
  'enrollment_secrets',
  'key_audiences',
  'device_transport_keys',
  'device_identities',
  'pending_enrollments',
  'late_renewals',
  'renewal_calls',
];

/** Tables whose rows belong to one organization, each with a row of the organization `$1` as SQL. */
const MEMBER_TABLES: Readonly<Record<string, string>> = {
  people: `insert into people (id, organization_id, name, mac) values (gen_random_uuid(), $1, 'Ada', '\\x')`,
  operator_tokens: `insert into operator_tokens (id, organization_id, name, kind, roles, created_by, sealed_verifier, pepper_version, mac)
    values (substr(replace(gen_random_uuid()::text, '-', ''), 1, 14), $1, 'x', 'machine', '{admin}', $1, '\\x', 1, '\\x')`,
  invitations: `insert into invitations (id, person_id, organization_id, sealed_verifier, pepper_version, expires_at, mac)
    select substr(replace(gen_random_uuid()::text, '-', ''), 1, 14), id, $1, '\\x', 1, now(), '\\x' from people where organization_id = $1 limit 1`,
  passkeys: `insert into passkeys (id, person_id, organization_id, name, public_key, mac)
    select gen_random_uuid()::text, id, $1, 'x', '\\x', '\\x' from people where organization_id = $1 limit 1`,
  approvals: `insert into approvals (id, organization_id, operation, subject, proposal, proposer, proposer_person, proposed_at, expires_at, mac)
    values (gen_random_uuid(), $1, 'role.grant', 'person:x', '\\x', 'x', $1, now(), now() + interval '1 hour', '\\x')`,
  domains: `insert into domains (id, name, organization_id, mac) values (gen_random_uuid(), 'a.test', $1, '\\x')`,
  name_users: `insert into name_users (id, address, types, domain_id, organization_id, mac)
    select gen_random_uuid(), 'a@a.test', '{im}', id, $1, '\\x' from domains where organization_id = $1`,
  webhooks: `insert into webhooks (id, organization_id, url, events, sealed_secret) values (gen_random_uuid(), $1, 'https://a.test', '{x}', '\\x')`,
  mail_subscriptions: `insert into mail_subscriptions (id, organization_id, address, events) values (gen_random_uuid(), $1, 'a@b.test', '{x}')`,
  notices: `insert into notices (id, organization_id, type, subject, at, event_id, payload)
    values (gen_random_uuid(), $1, 'x', 'x', now(), (random() * 1e9)::bigint, '\\x')`,
  deliveries: `insert into deliveries (id, notice_id, organization_id, webhook_id)
    select gen_random_uuid(), n.id, $1, w.id from notices n, webhooks w where n.organization_id = $1 and w.organization_id = $1 limit 1`,
  delivery_attempts: `insert into delivery_attempts (delivery_id, attempt, organization_id, duration_ms)
    select id, 1, $1, 1 from deliveries where organization_id = $1 limit 1`,
  idempotency: `insert into idempotency (principal, organization_id, key_hash, request_hash, status, salt, expires_at)
    values ('x', $1, uuid_send(gen_random_uuid()), '\\x', 201, '\\x', now())`,
  quotas: `insert into quotas (organization_id) values ($1)`,
  quota_windows: `insert into quota_windows values ($1, 'requests', now(), 1)`,
};

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
  const audience = { countries: ['CH'] };
  await issueKey(context, asTester, { releaseId: product.releaseId, audience, environment: 'live' });
  await registerDevice(context, asTester, { appId: product.appId, keyFingerprint: 'ab'.repeat(32) });
  const { device } = await makeEnrolled(db, product);
  const transportKey = { keyIdentifier: Buffer.of(1), key: randomBytes(16) };
  await registerTransportKey(context, asTester, device.id, transportKey);
  await allowLateRenewal(context, asTester, device.id, { days: 1 });
  const group = await createDeviceGroup(context, asTester, { name: 'Phones', vendorId: product.vendorId });
  await callRenewal(context, asTester, { kind: 'group', id: group.id, reason: 'drill' });
  const label = { ...shippedLabel(profiles(loadConfig({}).lifetimes).device), approval: true };
  await enrollOverEst(await db.context('est'), enrollRequest(await makeDevice(db, product), newKey(), { label }));
  vendor = { organizationId: product.vendorId, authority: false };
  tester = { organizationId: testing.id, authority: false };
  stranger = { organizationId: other.id, authority: false };
  for (const insert of Object.values(MEMBER_TABLES)) {
    for (const organizationId of [product.vendorId, other.id]) await db.sql(insert, [organizationId]);
  }
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
       and (a.attname in ('owner_org_id', 'issuer_org_id', 'organization_id') or c.relname = 'organizations') order by 1`,
  );
  expect(rows.map((row) => row.name)).toEqual([...TENANT_TABLES, ...Object.keys(MEMBER_TABLES)].sort());
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
    const key = { certificates: 'serial', key_audiences: 'key_id', device_transport_keys: 'device_id' }[table] ?? 'id';
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

describe.each(Object.keys(MEMBER_TABLES))('of %s the api plane sees', (table) => {
  test('no row without a scope, and in a scope the rows of that organization alone', async () => {
    expect(await count(table, undefined)).toBe(0);
    const foreign = `organization_id <> '${stranger.organizationId}'`;
    expect(await count(table, stranger)).toBeGreaterThan(0);
    expect(await count(table, stranger, foreign)).toBe(0);
    const [all] = await db.sql<{ n: number }>(`select count(*)::int as n from ${table}`);
    expect(await count(table, everything)).toBe(all!.n);
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
