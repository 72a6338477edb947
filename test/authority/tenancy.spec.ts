import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  changeDevice,
  createApp,
  createDeviceGroup,
  createOrganization,
  createRelease,
  issueKey,
  registerDevice,
  releaseCertificate,
  resetDevice,
  resumeDevice,
  resumeKey,
  revokeCertificate,
  revokeDevice,
  revokeKey,
  rotateKey,
  suspendDevice,
  suspendKey,
  type Actor,
  type AuthorityContext,
} from '#authority';
import { AuthorityError } from '#kernel';
import { readCertificate } from '#pki';
import { findApp, findDevice, findKey, listCertificates, listDevices, listKeys, listOrganizations } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makeEnrolled, makeProduct } from '../harness/fixtures.js';

let db: TestDatabase;
let api: AuthorityContext;
let stranger: Actor;
let ids: Record<'app' | 'release' | 'group' | 'device' | 'key' | 'certificate' | 'vendor', string>;

beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  const product = await makeProduct(api, db.operator);
  const group = await createDeviceGroup(api, db.operator, { name: 'Cameras', vendorId: product.vendorId });
  const { device, certificate } = await makeEnrolled(db, product);
  const { row } = await issueKey(api, db.operator, {
    releaseId: product.releaseId,
    audience: 'all',
    environment: 'live',
  });
  ids = {
    vendor: product.vendorId,
    app: product.appId,
    release: product.releaseId,
    group: group.id,
    device: device.id,
    key: row.id,
    certificate: readCertificate(certificate).serial,
  };
  const other = await createOrganization(api, db.operator, { name: 'Stranger', kind: 'vendor' });
  stranger = { id: 'operator:stranger', organizationId: other.id, authority: false, requestId: 'x' };
});
afterAll(() => db.stop());

type Try = (id: string) => Promise<unknown>;
const tries = (): [string, string, string, Try][] => [
  ['createRelease', ids.app, randomUUID(), (id) => createRelease(api, stranger, id, { version: '9' })],
  ['createApp for a vendor', ids.vendor, randomUUID(), (id) => createApp(api, stranger, { name: 'x', vendorId: id })],
  [
    'createDeviceGroup for a vendor',
    ids.vendor,
    randomUUID(),
    (id) => createDeviceGroup(api, stranger, { name: 'x', vendorId: id }),
  ],
  ['registerDevice of an app', ids.app, randomUUID(), (id) => registerDevice(api, stranger, { appId: id })],
  [
    'issueKey for a release',
    ids.release,
    randomUUID(),
    (id) => issueKey(api, stranger, { releaseId: id, audience: 'all', environment: 'live' }),
  ],
  ['changeDevice', ids.device, randomUUID(), (id) => changeDevice(api, stranger, id, { groupId: null })],
  ['resetDevice', ids.device, randomUUID(), (id) => resetDevice(api, stranger, id)],
  ['suspendDevice', ids.device, randomUUID(), (id) => suspendDevice(api, stranger, id)],
  ['resumeDevice', ids.device, randomUUID(), (id) => resumeDevice(api, stranger, id)],
  ['revokeDevice', ids.device, randomUUID(), (id) => revokeDevice(api, stranger, id, { reason: 'superseded' })],
  ['rotateKey', ids.key, '0'.repeat(14), (id) => rotateKey(api, stranger, id, { overlapSeconds: 0 })],
  ['suspendKey', ids.key, '0'.repeat(14), (id) => suspendKey(api, stranger, id)],
  ['resumeKey', ids.key, '0'.repeat(14), (id) => resumeKey(api, stranger, id)],
  ['revokeKey', ids.key, '0'.repeat(14), (id) => revokeKey(api, stranger, id, { reason: 'superseded' })],
  [
    'revokeCertificate',
    ids.certificate,
    '01'.repeat(17),
    (id) => revokeCertificate(api, stranger, id, { reason: 'superseded' }),
  ],
  ['releaseCertificate', ids.certificate, '01'.repeat(17), (id) => releaseCertificate(api, stranger, id)],
];

const outcome = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'done',
    ({ kind, code, detail, member }: AuthorityError) => ({ kind, code, detail, member }),
  );

test('whatever is tried with the id of another tenant answers exactly like an absent id, and changes nothing', async () => {
  const state = () => db.dump().then((text) => text.replace(/== touchmark\.audit[\s\S]*?\n(?===)/, ''));
  const before = await state();
  for (const [name, foreign, absent, attempt] of tries()) {
    const answer = await outcome(attempt(foreign));
    expect({ name, answer }).toEqual({
      name,
      answer: expect.objectContaining({ kind: expect.stringMatching(/^(notFound|invalid)$/) }),
    });
    expect({ name, answer }).toEqual({ name, answer: await outcome(attempt(absent)) });
  }
  expect(await state()).toBe(before);
});

test('ids of impossible form answer like unknown ones', async () => {
  for (const [name, , absent, attempt] of tries()) {
    for (const odd of ['', 'x', "' or 1=1 --", 'A'.repeat(300)]) {
      expect({ name, odd, answer: await outcome(attempt(odd)) }).toEqual({
        name,
        odd,
        answer: await outcome(attempt(absent)),
      });
    }
  }
});

test('lists and look-ups show a tenant its own rows only', async () => {
  const scope = { organizationId: stranger.organizationId, authority: false };
  const own = await createApp(api, stranger, { name: 'Own', vendorId: stranger.organizationId });
  await registerDevice(api, stranger, { appId: own.id });
  await api.database.transaction(
    async (tx) => {
      expect((await listDevices(tx, { limit: 100 }, {})).items).toHaveLength(1);
      expect((await listKeys(tx, { limit: 100 }, {}, db.clock.now())).items).toEqual([]);
      expect((await listCertificates(tx, { limit: 100 }, {}, db.clock.now())).items).toEqual([]);
      expect((await listOrganizations(tx, { limit: 100 })).items.map((one) => one.id)).toEqual([
        stranger.organizationId,
      ]);
      expect(await findDevice(tx, ids.device)).toBeUndefined();
      expect(await findApp(tx, ids.app)).toBeUndefined();
      expect(await findKey(tx, ids.key)).toBeUndefined();
    },
    { scope },
  );
});

describe('the one exception, an instanceId that is taken', () => {
  test('answers the same whoever holds it, and leaves an entry of the try', async () => {
    const [held] = await db.sql<{ id: string }>(`select instance_id as id from devices where id = $1`, [ids.device]);
    const app = await createApp(api, stranger, { name: 'Mine', vendorId: stranger.organizationId });
    const taken = { kind: 'conflict', code: 'instanceIdTaken', detail: 'instanceId: taken', member: 'instanceId' };
    expect(await outcome(registerDevice(api, stranger, { appId: app.id, instanceId: held!.id }))).toEqual(taken);
    const mine = await registerDevice(api, stranger, { appId: app.id });
    expect(await outcome(registerDevice(api, stranger, { appId: app.id, instanceId: mine.device.instanceId }))).toEqual(
      taken,
    );
    const entries = await db.sql(
      `select actor, subject from audit where action = 'device.registered' and outcome = 'refused'`,
    );
    expect(entries).toHaveLength(2);
    expect(entries).toContainEqual({ actor: stranger.id, subject: 'device:new' });
  });
});

test('only the authority makes organizations, and issues in the name of a testing organization', async () => {
  const attempt = createOrganization(api, stranger, { name: 'x', kind: 'provider' });
  await expect(attempt).rejects.toMatchObject({ kind: 'forbidden' });
  const testing = await createOrganization(api, db.operator, { name: 'Tester', kind: 'testing' });
  const app = await createApp(api, stranger, { name: 'Mine', vendorId: stranger.organizationId });
  const release = await createRelease(api, stranger, app.id, { version: '1' });
  const wish = { releaseId: release.id, issuerId: testing.id, audience: 'all', environment: 'live' } as const;
  await expect(issueKey(api, stranger, wish)).rejects.toMatchObject({ kind: 'invalid', member: 'issuerId' });
  // Nor does a vendor vouch for itself.
  const own = { releaseId: release.id, audience: 'all', environment: 'live' } as const;
  await expect(issueKey(api, stranger, own)).rejects.toMatchObject({ kind: 'forbidden' });
  expect((await issueKey(api, db.operator, wish)).row.issuerOrgId).toBe(testing.id);
});
