import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { approve, type Actor, type AuthorityContext } from '#authority';
import { OID } from '#pki';
import { SHIPPED_PROFILES } from '#policy';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makePerson, makeToken } from '../harness/people.js';
import { planeOf, type ApiPlane, type Answer } from './plane.js';

const DAY = 86_400;
const CAMERA = {
  name: 'camera',
  description: 'Cameras',
  keyTypes: ['ec-p256'],
  eku: [OID.clientAuth],
  validitySeconds: 30 * DAY,
  subject: 'device',
  san: [{ type: 'uuid', min: 1, max: 1 }],
};

let db: TestDatabase;
let api: AuthorityContext;
let plane: ApiPlane;
let admin: string;
let officer: string;
let approver: Actor & { personId: string };
beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  plane = await planeOf(api);
  admin = await makeToken(db, await makePerson(db, ['admin']), ['admin']);
  officer = await makeToken(db, await makePerson(db, ['officer']), ['officer']);
  approver = await makePerson(db, ['approver']);
});
afterAll(async () => {
  await plane.close();
  await db.stop();
});

const send = (method: 'PATCH' | 'PUT', url: string, payload: unknown, token = admin) =>
  plane.send({ method, url, payload: payload as object, headers: { 'content-type': 'application/json' } }, token);
const remove = (url: string, token = admin) => plane.send({ method: 'DELETE', url }, token);
const proposals = async () => (await db.sql(`select 1 from approvals`)).length;
type Profile = Record<string, unknown> & { name: string; version: number };
const show = async (name: string, query = '') =>
  (await plane.get(`/v1/profiles/${name}${query}`, officer)).json<Profile>();

async function approved(answer: Answer): Promise<void> {
  expect({ status: answer.status, text: answer.text }).toMatchObject({ status: 202 });
  const { approvalId, digest } = answer.json<{ approvalId: string; digest: string }>();
  await approve(api, approver, approvalId, { digest });
}

describe('profiles', () => {
  test('are listed whole, the shipped ones first', async () => {
    const { items } = (await plane.get('/v1/profiles', officer)).json<{ items: Profile[] }>();
    expect(items.map(({ name }) => name)).toEqual([...SHIPPED_PROFILES]);
    expect(items.find(({ name }) => name === 'sip-domain')).toMatchObject({
      version: 1,
      eku: [OID.sipDomain, OID.serverAuth, OID.clientAuth],
      san: [
        { type: 'sip-domain', min: 1, max: 50 },
        { type: 'dns', min: 0, max: 50 },
      ],
      backdateSeconds: 600,
      renewal: { sameKey: true, afterExpirySeconds: 0 },
      supersede: { mode: 'never' },
    });
  });

  test('of any name are added by two people, and what is shown can be sent back', async () => {
    await approved(await plane.post('/v1/profiles', CAMERA, admin));
    const shown = await show('camera');
    expect(shown).toMatchObject({ ...CAMERA, version: 1, revocation: 'crl+ocsp' });
    expect((await send('PUT', '/v1/profiles/camera', shown)).status).toBe(409);
    await approved(await send('PUT', '/v1/profiles/camera', { ...shown, approval: true }));
    expect(await show('camera')).toEqual({ ...shown, approval: true, version: 2 });
    expect(await show('camera', '?version=1')).toEqual(shown);
    const late = await send('PUT', '/v1/profiles/camera', { ...shown, validitySeconds: DAY });
    expect([late.status, late.json<{ member: string }>().member]).toEqual([409, 'version']);
  });

  test('are imported under a new name without being made first', async () => {
    await approved(await send('PUT', '/v1/profiles/doorbell', { ...CAMERA, name: 'doorbell' }));
    expect(await show('doorbell')).toMatchObject({ name: 'doorbell', version: 1 });
  });

  test('are changed member by member', async () => {
    const before = await show('camera');
    const change = { validitySeconds: 10 * DAY, renewal: { afterExpirySeconds: DAY } };
    await approved(await send('PATCH', '/v1/profiles/camera', change));
    expect(await show('camera')).toEqual({
      ...before,
      validitySeconds: 10 * DAY,
      renewal: { sameKey: true, afterExpirySeconds: DAY },
      version: 3,
    });
  });

  test('are withdrawn by two people; a version that certificates were issued by is still shown', async () => {
    await approved(await remove('/v1/profiles/camera'));
    expect((await plane.get('/v1/profiles/camera', officer)).status).toBe(404);
    expect(await show('camera', '?version=3')).toMatchObject({ version: 3 });
    expect((await plane.get('/v1/profiles', officer)).text).not.toContain('"camera"');
  });

  test('are proposed once, however often the same request comes', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const first = await plane.post('/v1/profiles', { ...CAMERA, name: 'once' }, admin, key);
    const before = await proposals();
    const again = await plane.post('/v1/profiles', { ...CAMERA, name: 'once' }, admin, key);
    expect([again.status, again.text, await proposals()]).toEqual([202, first.text, before]);
  });
});

describe('a request that is no good proposes nothing', () => {
  const create = (change: object) => () => plane.post('/v1/profiles', { ...CAMERA, name: 'bad', ...change }, admin);
  const put = (name: string, change: object) => () =>
    send('PUT', `/v1/profiles/${name}`, { ...CAMERA, name, ...change });
  const cases: [string, () => Promise<Answer>, number, string?][] = [
    ['a name that is taken', create({ name: 'device' }), 409, 'name'],
    ['the name of an EST operation (E06)', create({ name: 'cacerts' }), 422, 'name'],
    ['no name', create({ name: undefined }), 400, 'name'],
    ['a name in capitals', create({ name: 'Bad' }), 422, 'name'],
    ['a member too many', create({ colour: 'red' }), 400],
    ['a version of its own', create({ version: 7 }), 400],
    ['no purpose', create({ eku: [] }), 422, 'eku'],
    ['any purpose (X17)', create({ eku: [OID.anyExtendedKeyUsage] }), 422, 'eku'],
    ['an unknown type of name', create({ san: [{ type: 'x400', min: 0, max: 1 }] }), 400, 'san'],
    ['a long life without revocation (X27)', create({ revocation: 'none' }), 422, 'validitySeconds'],
    ['a CA', create({ ca: true }), 422, 'ca'],
    ['another name than the path', () => send('PUT', '/v1/profiles/other', { ...CAMERA, name: 'bad' }), 422, 'name'],
    ['the version of a profile that is not there', put('absent', { version: 1 }), 409, 'version'],
    ['half of a profile', () => send('PUT', '/v1/profiles/device', { validitySeconds: DAY }), 400],
    ['another name for a profile', () => send('PATCH', '/v1/profiles/device', { name: 'bad' }), 400],
    ['null for a member', () => send('PATCH', '/v1/profiles/device', { eku: null }), 400, 'eku'],
    [
      'a usage that no key can have (X16)',
      () => send('PATCH', '/v1/profiles/device', { keyTypes: ['ed25519'], keyUsage: ['keyAgreement'] }),
      422,
      'keyUsage',
    ],
    ['another use of a CA', () => send('PATCH', '/v1/profiles/issuing-ca', { eku: [OID.clientAuth] }), 422, 'eku'],
    ['the root', () => send('PATCH', '/v1/profiles/root-ca', { validitySeconds: DAY }), 409],
    ['withdrawing a shipped one', () => remove('/v1/profiles/device'), 409],
    ['withdrawing what is not there', () => remove('/v1/profiles/absent'), 404],
    ['an officer who adds one', () => plane.post('/v1/profiles', CAMERA, officer), 403],
    ['an officer who withdraws one', () => remove('/v1/profiles/doorbell', officer), 403],
  ];
  test.each(cases)('%s', async (_, attempt, status, member = '') => {
    const before = await proposals();
    const answer = await attempt();
    expect({ status: answer.status, text: answer.text }).toMatchObject({ status });
    if (member !== '') expect(JSON.parse(answer.text)).toMatchObject({ member: expect.stringContaining(member) });
    expect(await proposals()).toBe(before);
  });

  test.each([
    ['absent', 404],
    ['constructor', 404],
    ['device?version=99', 404],
    ['device?version=0', 400],
    ['device?version=x', 400],
    ['device?colour=red', 400],
  ])('GET /v1/profiles/%s is %d', async (path, status) => {
    expect((await plane.get(`/v1/profiles/${path}`, officer)).status).toBe(status);
  });
});
