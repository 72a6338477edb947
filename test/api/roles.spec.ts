import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { writeToken, type AuthorityContext } from '#authority';
import type { Role } from '#policy';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { planeOf, type ApiPlane } from './plane.js';

let db: TestDatabase;
let api: AuthorityContext;
let plane: ApiPlane;
let tester: string;
let vendor: string;
let provider: string;
let officer: string;
let developer: string;
let checker: string;
let authority: string;

beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  plane = await planeOf(api);
  authority = await tokenOf(db.authorityId, ['admin']);
  const organization = async (kind: string) => {
    const made = await plane.post('/v1/organizations', { name: `The ${kind}`, kind, country: 'CH' }, authority);
    return made.json<{ id: string }>().id;
  };
  tester = await organization('testing');
  vendor = await organization('vendor');
  provider = await organization('provider');
  officer = await tokenOf(tester, ['officer']);
  developer = await tokenOf(vendor, ['developer']);
  checker = await tokenOf(provider, ['checker']);
});
afterAll(async () => {
  await plane.close();
  await db.stop();
});

async function tokenOf(organizationId: string, roles: Role[]): Promise<string> {
  const facts = { organizationId, name: roles.join(' '), kind: 'machine' as const, personId: null, roles };
  const owner = await db.as('owner');
  const made = await owner.transaction((tx) =>
    writeToken(tx, api, db.operator, { ...facts, createdBy: organizationId, predecessorId: null, expiresAt: null }),
  );
  await api.follower.catchUp(made.seq);
  return made.text;
}

async function makeKey(audience: unknown = 'all'): Promise<{ id: string; key: string; releaseId: string }> {
  const app = await plane.post('/v1/apps', { name: 'Relay', vendorId: vendor }, officer);
  expect(app.status).toBe(201);
  const appId = app.json<{ id: string }>().id;
  const release = await plane.post(`/v1/apps/${appId}/releases`, { version: '1.0.0' }, officer);
  const releaseId = release.json<{ id: string }>().id;
  const made = await plane.post('/v1/keys', { releaseId, audience, environment: 'live' }, officer);
  expect(made.status).toBe(201);
  return { ...made.json<{ id: string; key: string }>(), releaseId };
}

describe('a testing organization', () => {
  test('vouches for the app of a vendor: app, release, key, device, all under its own name', async () => {
    const { id } = await makeKey();
    const key = (await plane.get(`/v1/keys/${id}`, officer)).json<{ status: string; issuerId: string }>();
    expect(key).toMatchObject({ status: 'active' });
    const [row] = await db.sql<{ owner: string; issuer: string }>(
      'select owner_org_id as owner, issuer_org_id as issuer from keys where id = $1',
      [id],
    );
    expect(row).toEqual({ owner: vendor, issuer: tester });
  });

  test('sees the register of vendors, but nothing that another testing organization made for them', async () => {
    const second = await plane.post('/v1/organizations', { name: 'Second', kind: 'testing' }, authority);
    const other = await tokenOf(second.json<{ id: string }>().id, ['officer', 'admin', 'auditor']);
    const seen = (await plane.get('/v1/organizations?limit=100', other)).json<{ items: { id: string }[] }>();
    expect(seen.items.map((one) => one.id)).toContain(vendor);
    const { id } = await makeKey();
    for (const path of ['/v1/apps', '/v1/keys', '/v1/devices', '/v1/certificates', '/v1/audit/events']) {
      expect((await plane.get(path, other)).text).not.toContain(id);
      if (path !== '/v1/audit/events') expect((await plane.get(path, other)).json()).toMatchObject({ items: [] });
    }
  });
});

describe('a developer of the vendor', () => {
  test('makes releases of its apps and rotates its keys', async () => {
    const { id, key } = await makeKey();
    const rotated = await plane.post(`/v1/keys/${id}/rotate`, { overlapSeconds: 60 }, developer);
    expect(rotated.status).toBe(201);
    const successor = rotated.json<{ id: string; key: string }>();
    for (const token of [key, successor.key]) {
      expect((await plane.form('/v1/introspect', { token }, checker)).json()).toMatchObject({ active: true });
    }
    const [app] = (await plane.get('/v1/apps', developer)).json<{ items: { id: string }[] }>().items;
    const release = await plane.post(`/v1/apps/${app!.id}/releases`, { version: '2.0.0' }, developer);
    expect(release.status).toBe(201);
  });

  test('takes a key out of service at once, but cannot bring it back', async () => {
    const { id, key } = await makeKey();
    expect((await plane.post(`/v1/keys/${id}/suspend`, {}, developer)).status).toBe(200);
    expect((await plane.form('/v1/introspect', { token: key }, checker)).json()).toMatchObject({ active: false });
    const resumed = await plane.post(`/v1/keys/${id}/resume`, {}, developer);
    expect(resumed).toMatchObject({ status: 403 });
    expect((await plane.form('/v1/introspect', { token: key }, checker)).json()).toMatchObject({ active: false });
    expect((await plane.post(`/v1/keys/${id}/resume`, {}, officer)).status).toBe(200);
    const reason = { reason: 'keyCompromise' };
    expect((await plane.post(`/v1/keys/${id}/revoke`, reason, developer)).status).toBe(200);
  });

  test('issues nothing, and makes no app', async () => {
    const { releaseId } = await makeKey();
    const key = { releaseId, audience: 'all', environment: 'live' };
    expect((await plane.post('/v1/keys', key, developer)).status).toBe(403);
    expect((await plane.post('/v1/apps', { name: 'x', vendorId: vendor }, developer)).status).toBe(403);
  });
});

describe('a checker of a provider', () => {
  test('asks about keys for its own provider, and reads none', async () => {
    const { key } = await makeKey({ providers: [provider] });
    expect((await plane.form('/v1/introspect', { token: key }, checker)).json()).toMatchObject({ active: true });
    const elsewhere = await plane.post('/v1/organizations', { name: 'Other', kind: 'provider' }, authority);
    const stranger = await tokenOf(elsewhere.json<{ id: string }>().id, ['checker']);
    expect((await plane.form('/v1/introspect', { token: key }, stranger)).json()).toMatchObject({ active: false });
    expect((await plane.get('/v1/keys', checker)).status).toBe(403);
  });
});

describe('an auditor', () => {
  test('reads what its organization did, and changes nothing', async () => {
    const { id } = await makeKey();
    const auditor = await tokenOf(tester, ['auditor']);
    expect((await plane.get(`/v1/audit/events?subject=key:${id}`, auditor)).json()).toMatchObject({
      items: [{ action: 'key.issued' }],
    });
    expect((await plane.post(`/v1/keys/${id}/revoke`, { reason: 'keyCompromise' }, auditor)).status).toBe(403);
  });
});
