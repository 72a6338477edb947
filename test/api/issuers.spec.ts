import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createOrganization, type AuthorityContext } from '#authority';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makePerson, makeToken, sessionOf } from '../harness/people.js';
import { planeOf, type ApiPlane } from './plane.js';

let db: TestDatabase;
let api: AuthorityContext;
let plane: ApiPlane;
let admin: string;
let officer: string;
let both: string;
beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  plane = await planeOf(api);
  admin = await makeToken(db, await makePerson(db, ['admin']), ['admin']);
  officer = await makeToken(db, await makePerson(db, ['officer']), ['officer']);
  both = await makeToken(db, await makePerson(db, ['admin', 'officer']), ['admin', 'officer']);
});
afterAll(async () => {
  await plane.close();
  await db.stop();
});

const patch = (url: string, payload: unknown, token: string) =>
  plane.send(
    { method: 'PATCH', url, payload: payload as object, headers: { 'content-type': 'application/json' } },
    token,
  );
const proposals = async () => (await db.sql(`select 1 from approvals`)).length;
const log = async () => (await db.sql(`select 1 from status_changes where kind in ('issuer', 'profile')`)).length;

describe('what is proposed', () => {
  test('is answered with 202, the digest and the end of its hour, and nothing has changed', async () => {
    const before = [(await db.sql(`select 1 from issuers`)).length, await log()];
    for (const answer of [
      await plane.post('/v1/issuers', { name: 'Proposed' }, admin),
      await patch('/v1/profiles/device', { validitySeconds: 86_400 }, admin),
    ]) {
      expect(answer.status).toBe(202);
      const { approvalId, digest, expiresAt } = answer.json<Record<string, string>>();
      expect(digest).toMatch(/^[0-9a-f]{64}$/);
      expect(Date.parse(expiresAt!) - db.clock.now().getTime()).toBeLessThanOrEqual(3_600_000);
      const audits = await db.sql(`select action from audit where subject = $1`, [`approval:${approvalId}`]);
      expect(audits).toEqual([{ action: 'approval.proposed' }]);
    }
    expect([(await db.sql(`select 1 from issuers`)).length, await log()]).toEqual(before);
  });

  test('is one proposal, however often the same request comes', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const first = await plane.post('/v1/issuers', { name: 'Once' }, admin, key);
    const before = await proposals();
    const again = await plane.post('/v1/issuers', { name: 'Once' }, admin, key);
    expect([again.status, again.text, await proposals()]).toEqual([202, first.text, before]);
    expect(again.headers['idempotency-replayed']).toBe('true');
  });

  test("is the same by a CA's certificate, for whoever may propose it", async () => {
    const { serial, id } = await api.issuers.issuing();
    const url = `/v1/certificates/${serial.toUpperCase()}/revoke`;
    const answer = await plane.post(url, { reason: 'superseded' }, both);
    expect(answer.status).toBe(202);
    const { approvalId } = answer.json<{ approvalId: string }>();
    const [row] = await db.sql(`select operation, subject from approvals where id = $1`, [approvalId]);
    expect(row).toEqual({ operation: 'ca.revoke', subject: `issuer:${id}` });
    expect((await plane.post(url, { reason: 'superseded' }, officer)).status).toBe(403);
    expect((await plane.post(url, { reason: 'certificateHold' }, both)).status).toBe(409);
    expect(api.follower.index.certificate(serial)).toBeUndefined();
  });
});

describe('a request that is no good proposes nothing', () => {
  const id = randomUUID();
  const root = async () => (await api.issuers.root()).id;
  const issuing = async () => (await api.issuers.issuing()).id;
  const cases: [string, () => Promise<{ status: number; text: string }>, number, string?][] = [
    ['no name', () => plane.post('/v1/issuers', {}, admin), 400, 'name'],
    ['an empty name', () => plane.post('/v1/issuers', { name: '' }, admin), 400, 'name'],
    ['a name longer than a common name', () => plane.post('/v1/issuers', { name: 'x'.repeat(65) }, admin), 400, 'name'],
    ['a control character', () => plane.post('/v1/issuers', { name: 'a\nb' }, admin), 400, 'name'],
    ['a member too many', () => plane.post('/v1/issuers', { name: 'x', key: 'y' }, admin), 400],
    ['a name that is taken', () => plane.post('/v1/issuers', { name: 'Touchmark Issuing CA 1' }, admin), 409, 'name'],
    ['an unknown CA to activate', () => plane.post(`/v1/issuers/${id}/activate`, {}, admin), 404],
    ['what is no id', () => plane.post(`/v1/issuers/1/activate`, {}, admin), 404],
    ['the root to activate', async () => plane.post(`/v1/issuers/${await root()}/activate`, {}, admin), 409],
    ['an unknown CA to revoke', () => plane.post(`/v1/issuers/${id}/revoke`, { reason: 'superseded' }, admin), 404],
    ['the root', async () => plane.post(`/v1/issuers/${await root()}/revoke`, { reason: 'superseded' }, admin), 409],
    ['no reason', () => plane.post(`/v1/issuers/${id}/revoke`, {}, admin), 400, 'reason'],
    ['a hold', () => plane.post(`/v1/issuers/${id}/revoke`, { reason: 'certificateHold' }, admin), 400, 'reason'],
    ['a kind that is none', () => plane.post('/v1/issuers', { name: 'x', kind: 'leaf' }, admin), 400, 'kind'],
    ['a life of a second', () => plane.post('/v1/issuers', { name: 'x', validitySeconds: 1 }, admin), 400, 'validity'],
    ['an unknown parent', () => plane.post('/v1/issuers', { name: 'x', parentId: id }, admin), 422, 'parentId'],
    [
      'a constraint on one mailbox (X22)',
      () => plane.post('/v1/issuers', { name: 'x', nameConstraints: { permitted: { email: ['a@b.c'] } } }, admin),
      422,
      'permitted.email',
    ],
    ['an unknown CA to follow', () => plane.post(`/v1/issuers/${id}/rollover`, {}, admin), 404],
    [
      'a life beyond the root (CX06)',
      async () => plane.post(`/v1/issuers/${await issuing()}/rollover`, { validitySeconds: 999_999_999 }, admin),
      422,
      'validitySeconds',
    ],
    [
      'nothing to cross-sign',
      async () => plane.post(`/v1/issuers/${await root()}/cross-sign`, { unconstrained: true }, admin),
      422,
      'csr',
    ],
    [
      'no PEM to cross-sign',
      async () => plane.post(`/v1/issuers/${await root()}/cross-sign`, { csr: 'x', unconstrained: true }, admin),
      400,
    ],
    ['an import without chain', () => plane.post(`/v1/issuers/${id}/import`, { certificate: 'x' }, admin), 400],
    ['a CRL that is none', async () => plane.post(`/v1/issuers/${await root()}/crl`, { crl: 'x' }, admin), 400],
    [
      'the request of a CA that has its certificate',
      async () => plane.get(`/v1/issuers/${await root()}/csr`, admin),
      409,
    ],
    ['the request of an unknown CA', () => plane.get(`/v1/issuers/${id}/csr`, admin), 404],
    ['an unknown profile', () => patch('/v1/profiles/absent', { validitySeconds: 100 }, admin), 404],
    ['the profile of the root', () => patch('/v1/profiles/root-ca', { validitySeconds: 100 }, admin), 409],
    ['no change', () => patch('/v1/profiles/device', {}, admin), 400],
    ['half a second', () => patch('/v1/profiles/device', { validitySeconds: 0.5 }, admin), 400, 'validitySeconds'],
    ['a negative life', () => patch('/v1/profiles/device', { validitySeconds: -1 }, admin), 400, 'validitySeconds'],
    ['a life too short', () => patch('/v1/profiles/device', { validitySeconds: 59 }, admin), 422, 'validitySeconds'],
    ['a life too long', () => patch('/v1/profiles/device', { validitySeconds: 1e12 }, admin), 422, 'validitySeconds'],
    ['unknown keys', () => patch('/v1/profiles/device', { keyTypes: ['dsa'] }, admin), 422, 'keyTypes'],
    ['no keys', () => patch('/v1/profiles/device', { keyTypes: [] }, admin), 400, 'keyTypes'],
    ['another usage', () => patch('/v1/profiles/device', { eku: ['clientAuth'] }, admin), 422, 'eku'],
  ];
  test.each(cases)('%s', async (_, send, status, member = '') => {
    const before = await proposals();
    const answer = await send();
    expect({ status: answer.status, text: answer.text }).toMatchObject({ status });
    if (member !== '') expect(JSON.parse(answer.text)).toMatchObject({ member: expect.stringContaining(member) });
    expect(await proposals()).toBe(before);
  });
});

test('both lists tell what counts now', async () => {
  const issuers = (await plane.get('/v1/issuers', officer)).json<{ items: { kind: string; status: string }[] }>();
  expect(issuers.items.map(({ kind, status }) => [kind, status])).toEqual([
    ['root', 'active'],
    ['issuing', 'active'],
  ]);
  const profiles = (await plane.get('/v1/profiles', officer)).json<{ items: { name: string; version: number }[] }>();
  expect(profiles.items).toContainEqual(expect.objectContaining({ name: 'device', version: 1 }));
});

describe('a CA that is not there yet', () => {
  interface Coming {
    id: string;
    status: string;
    name: string;
    next: string;
    approvalId: string | null;
  }
  const coming = async (token: string, name: string): Promise<Coming | undefined> =>
    (await plane.get('/v1/issuers', token)).json<{ coming: Coming[] }>().coming.find((one) => one.name === name);
  const show = (token: string, id: string) => plane.get(`/v1/issuers/${id}`, token);
  let approver: string;
  beforeAll(async () => {
    approver = await sessionOf(db, await makePerson(db, ['approver']));
  });

  test('is shown as proposed, then as requested, each with what to do next; gone when it is rejected', async () => {
    const { approvalId, digest } = (await plane.post('/v1/issuers', { name: 'Elsewhere', external: true }, admin)).json<
      Record<string, string>
    >();
    const proposed = await coming(admin, 'Elsewhere');
    expect(proposed).toMatchObject({
      ...{ kind: 'issuing', status: 'proposed', external: true, keyType: null, approvalId },
      next: `a second person approves it: npx touchmark approval approve ${approvalId}`,
    });
    expect((await show(admin, proposed!.id)).json()).toEqual(proposed);
    expect((await plane.post(`/v1/approvals/${approvalId}/approve`, { digest }, approver)).status).toBe(200);
    const { id } = proposed!;
    expect(await coming(admin, 'Elsewhere')).toEqual({
      ...{ id, kind: 'issuing', status: 'requested', name: 'Elsewhere', keyType: 'ec-p256', external: true },
      ...{ approvalId: null, expiresAt: null },
      next: `have its request certified: npx touchmark ca csr ${id}, then npx touchmark ca import ${id}`,
    });
    const rollover = (await plane.post(`/v1/issuers/${(await api.issuers.issuing()).id}/rollover`, {}, admin)).json<
      Record<string, string>
    >();
    expect(await coming(admin, (await api.issuers.issuing()).name)).toMatchObject({
      status: 'proposed',
      approvalId: rollover['approvalId'],
    });
    expect((await plane.post(`/v1/approvals/${rollover['approvalId']}/reject`, {}, approver)).status).toBe(200);
    expect(await coming(admin, (await api.issuers.issuing()).name)).toBeUndefined();
  });

  test('is told to who may read approvals of the authority, and to nobody else', async () => {
    const { id } = (await coming(admin, 'Elsewhere'))!;
    const vendor = await createOrganization(api, db.operator, { name: 'Vendor', kind: 'vendor' });
    for (const roles of [['developer'], ['admin']] as const) {
      const token = await makeToken(db, await makePerson(db, [...roles], vendor.id), [...roles]);
      expect((await plane.get('/v1/issuers', token)).json()).toMatchObject({ coming: [] });
      const hidden = await show(token, id);
      const absent = await show(token, randomUUID());
      const told = ({ text }: { text: string }) => ({ ...(JSON.parse(text) as object), instance: '' });
      expect([hidden.status, told(hidden)]).toEqual([404, told(absent)]);
    }
  });

  test('is not what somebody wrote or changed by SQL', async () => {
    const { id } = (await coming(admin, 'Elsewhere'))!;
    await db.tamper(`insert into issuers (id, kind, name, ca_key_id, subject_der, spki, status_url, not_after)
      select gen_random_uuid(), kind, 'Planted', ca_key_id, subject_der || '\\x00', spki, status_url, not_after from issuers where id = '${id}'`);
    expect(await coming(admin, 'Planted')).toBeUndefined();
    await db.tamper(`update issuers set name = 'Renamed' where id = $1`, [id]);
    expect([await coming(admin, 'Renamed'), (await show(admin, id)).status]).toEqual([undefined, 404]);
  });
});
