import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createApp, createOrganization } from '#authority';
import { toPem } from '#pki';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makeProduct, type Product } from '../harness/fixtures.js';
import { decidersOf, makeAnchors, makeManufacturer, type Manufacturer } from '../harness/manufacturer.js';
import { makePerson, makeToken, sessionOf } from '../harness/people.js';
import { planeOf, type Answer, type ApiPlane } from './plane.js';

let db: TestDatabase;
let plane: ApiPlane;
let product: Product;
let acme: Manufacturer;
let admin: string;
let officer: string;
let approver: string;

beforeAll(async () => {
  db = await startTestDatabase();
  const api = await db.context('api');
  plane = await planeOf(api);
  product = await makeProduct(api, db.operator);
  acme = await makeManufacturer();
  const people = await decidersOf(db);
  admin = await makeToken(db, people.admin, ['admin']);
  approver = await sessionOf(db, people.approver);
  officer = await makeToken(db, await makePerson(db, ['officer']), ['officer']);
});
afterAll(async () => {
  await plane?.close();
  await db?.stop();
});

const send = (method: 'PUT' | 'DELETE', url: string, token: string, body?: object): Promise<Answer> => {
  const headers = { 'content-type': 'application/json' };
  return plane.send({ method, url, ...(body && { payload: body, headers }) }, token);
};

async function approved(answer: Answer): Promise<void> {
  expect(answer.status).toBe(202);
  const { approvalId, digest } = answer.json<{ approvalId: string; digest: string }>();
  const done = await plane.post(`/v1/approvals/${approvalId}/approve`, { digest }, approver);
  expect([done.status, done.json()['state']]).toEqual([200, 'executed']);
}

test('a label is proposed whole, shown as decided, and is gone when that is approved', async () => {
  const wish = { profile: 'device', authentication: ['secret'], channelBinding: 'required' };
  await approved(await send('PUT', '/v1/est-labels/plant', admin, wish));
  const shown = (await plane.get('/v1/est-labels/plant', admin)).json();
  expect(shown).toMatchObject({ ...wish, name: 'plant', version: 1, digest: false, operations: ['csrattrs'] });
  const { items } = (await plane.get('/v1/est-labels', officer)).json<{ items: { name: string }[] }>();
  expect(items.map(({ name }) => name)).toEqual(expect.arrayContaining(['device', 'ra', 'plant']));
  // What was shown can be sent back: a label is exported, changed and imported.
  const { name: _name, version: _version, ...whole } = shown;
  await approved(await send('PUT', '/v1/est-labels/plant', admin, { ...whole, description: 'Two' }));
  await approved(await send('DELETE', '/v1/est-labels/plant', admin));
  expect((await plane.get('/v1/est-labels/plant', admin)).status).toBe(404);
});

test('what no label may be is told by its member', async () => {
  const answer = await send('PUT', '/v1/est-labels/simpleenroll', admin, {
    profile: 'device',
    authentication: ['secret'],
  });
  expect([answer.status, answer.json()['member']]).toEqual([422, 'name']);
  const unknown = await send('PUT', '/v1/est-labels/x', admin, { profile: 'device', authentication: ['magic'] });
  expect(unknown.status).toBe(400);
  const denied = await send('PUT', '/v1/est-labels/x', officer, { profile: 'device', authentication: ['secret'] });
  expect(denied.status).toBe(403);
});

describe('a set of trust anchors', () => {
  test('says whether there are CRLs, or is none', async () => {
    const wish = { appId: product.appId, certificates: [acme.rootPem] };
    expect((await send('PUT', '/v1/trust-anchors/acme', admin, wish)).status).toBe(400);
    const crl = { ...wish, intermediates: [acme.intermediatePem], revocation: 'crl', crlMaxAgeSeconds: 3600 };
    await approved(await send('PUT', '/v1/trust-anchors/acme', admin, crl));
    const shown = (await plane.get('/v1/trust-anchors/acme', officer)).json();
    expect(shown).toMatchObject({ ...crl, name: 'acme', version: 1, register: 'preregistered' });
  });

  test('takes CRLs as PEM or base64 from an officer, and nothing else', async () => {
    const list = await acme.crl('root', { number: 1 });
    const bring = (crl: string) => plane.post('/v1/trust-anchors/acme/crls', { crl }, officer);
    const stored = await bring(toPem('X509 CRL', list));
    expect([stored.status, stored.json()]).toEqual([200, expect.objectContaining({ anchors: 'acme', number: '1' })]);
    expect((await bring((await acme.crl('root', { number: 2 })).toString('base64'))).status).toBe(200);
    expect((await bring(toPem('X509 CRL', list))).status).toBe(422);
    expect((await bring('!')).status).toBe(400);
    expect((await bring(Buffer.from('hello').toString('base64'))).status).toBe(400);
  });

  test('takes a CRL of megabytes, up to 8 MiB, and as much as many certificates have', async () => {
    const bring = (crl: string) => plane.post('/v1/trust-anchors/acme/crls', { crl }, officer);
    const large = await acme.largeCrl(100, 120_000);
    expect(large.length).toBeGreaterThan(6 * 1024 * 1024);
    const stored = await bring(toPem('X509 CRL', large).replaceAll('\n', '\r\n'));
    expect([stored.status, stored.json()]).toEqual([200, expect.objectContaining({ number: '100', entries: 120_000 })]);
    const tooLarge = await bring(
      Buffer.alloc(8 * 1024 * 1024 + 3)
        .toString('base64')
        .padEnd(11_700_000, '\n'),
    );
    expect([tooLarge.status, tooLarge.json()['member']]).toEqual([400, 'crl']);
    const wish = {
      appId: product.appId,
      revocation: 'none',
      certificates: Array(20).fill(acme.rootPem.padEnd(20_000)),
    };
    await approved(await send('PUT', '/v1/trust-anchors/wide', admin, wish));
  });

  test('is seen by whom its app is seen by', async () => {
    const api = await db.context('api');
    const testing = await createOrganization(api, db.operator, { name: 'Tester', kind: 'testing' });
    const tester = { ...db.operator, organizationId: testing.id };
    const { id: appId } = await createApp(api, tester, { name: 'Theirs', vendorId: product.vendorId });
    const own = await makeAnchors(db, { appId }, { certificates: [acme.rootPem] });
    const token = await makeToken(db, await makePerson(db, ['admin'], testing.id), ['admin']);
    const { items } = (await plane.get('/v1/trust-anchors', token)).json<{ items: { name: string }[] }>();
    expect(items.map(({ name }) => name)).toEqual([own]);
    expect((await plane.get('/v1/trust-anchors/acme', token)).status).toBe(404);
  });
});

describe('fingerprints of a device', () => {
  const print = 'AB'.repeat(31).replaceAll(/(..)/g, '$1:');

  test('come with it or later, in any writing, are listed, and removed', async () => {
    const body = {
      appId: product.appId,
      certificateFingerprint: `${print}01`,
      manufacturerId: { anchors: 'acme', id: 'SN' },
    };
    const { id } = (await plane.post('/v1/devices', body, officer)).json<{ id: string }>();
    const base = `/v1/devices/${id}/fingerprints`;
    const added = await plane.post(base, { of: 'key', sha256: `${print}02` }, officer);
    expect([added.status, added.json()['value']]).toEqual([201, `${'ab'.repeat(31)}02`]);
    const listed = async () =>
      (await plane.get(base, officer)).json<{ items: { id: string; kind: string; anchors: string | null }[] }>().items;
    const kinds = (await listed()).map(({ kind }) => kind);
    expect(kinds.toSorted()).toEqual(['certificate', 'key', 'manufacturer']);
    const { id: manufacturer } = (await listed()).find(({ kind }) => kind === 'manufacturer')!;
    expect((await send('DELETE', `${base}/${manufacturer}`, officer)).status).toBe(404);
    const removed = await send('DELETE', `${base}/${String(added.json()['id'])}`, officer);
    expect([removed.status, removed.json()['status']]).toEqual([200, 'removed']);
    expect(await listed()).toHaveLength(2);
    expect((await send('DELETE', `${base}/${String(added.json()['id'])}`, officer)).status).toBe(404);
  });

  test('are of one device each: a taken one is refused, and the try is audited', async () => {
    const body = { appId: product.appId, certificateFingerprint: `${print}01` };
    const answer = await plane.post('/v1/devices', body, officer);
    expect([answer.status, answer.json()['type']]).toEqual([409, 'urn:touchmark:problem:identityTaken']);
    const refused = await db.sql(`select 1 from audit where action = 'device.identityAdded' and outcome = 'refused'`);
    expect(refused).toHaveLength(1);
    expect((await plane.post('/v1/devices', { ...body, certificateFingerprint: 'ab' }, officer)).status).toBe(400);
  });
});
