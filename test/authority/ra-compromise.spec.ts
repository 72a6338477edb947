import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  approve,
  enrollOverEst,
  followRa,
  registerDevice,
  revokeCertificate,
  revokeDevice,
  type AuthorityContext,
  type EstRequest,
} from '#authority';
import { addSeconds, loadConfig, type Clock } from '#kernel';
import { readCertificate } from '#pki';
import { profiles, shippedLabel } from '#policy';
import { countObtained } from '#store';
import { planeOf, type ApiPlane } from '../api/plane.js';
import { approveEnrollment } from '../harness/approve-enrollment.js';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import {
  enroll,
  enrollRequest,
  makeDevice,
  makeEnrolled,
  makeProduct,
  presents,
  renewRequest,
  type Product,
  type TestDevice,
} from '../harness/fixtures.js';
import { makePerson, makeToken, type Person } from '../harness/people.js';

let shift = 0;
const clock: Clock = { now: () => addSeconds(new Date(), shift), monotonicMs: () => performance.now() };
const { device: shipped, ra: raProfile } = profiles(loadConfig({}).lifetimes);
const label: EstRequest['label'] = { ...shippedLabel(shipped), authentication: ['ra', 'certificate'] };

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
let worker: AuthorityContext;
let plane: ApiPlane;
let product: Product;
let officer: string;
let approver: Person;
beforeAll(async () => {
  db = await startTestDatabase({ clock });
  [api, est, worker] = [await db.context('api'), await db.context('est'), await db.context('worker')];
  plane = await planeOf(api);
  product = await makeProduct(api, db.operator);
  officer = await makeToken(db, await makePerson(db, ['officer']), ['officer']);
  approver = await makePerson(db, ['approver']);
});
afterAll(async () => {
  await plane?.close();
  await db?.stop();
});

const serialOf = (der: Buffer): string => readCertificate(der).serial;
const statusOf = (der: Buffer): string => api.follower.index.certificate(serialOf(der))?.status ?? 'active';

interface Ra {
  id: string;
  certificate: Buffer;
}

async function makeRa(): Promise<Ra> {
  const { appId } = product;
  const { device, enrollment } = await registerDevice(api, db.operator, { appId, profile: 'ra' });
  const asking = enrollRequest({ device, secret: enrollment.secret }, newKey(), { label: shippedLabel(raProfile) });
  expect(await enrollOverEst(est, asking)).toMatchObject({ state: 'pending' });
  await approveEnrollment(db, device.id);
  return { id: device.id, certificate: await enroll(est, asking) };
}

/** By the RA, for a device that may have its first certificate. */
async function obtain(ra: Ra, made?: TestDevice): Promise<{ made: TestDevice; certificate: Buffer }> {
  const to = made ?? (await makeDevice(db, product));
  const presented = presents({ peerCertificate: () => ra.certificate });
  return { made: to, certificate: await enroll(est, enrollRequest(to, newKey(), { label, presented })) };
}

const renew = ({ device }: TestDevice, by: Buffer): Promise<Buffer> =>
  enroll(est, renewRequest(device, by, newKey(), { label }));

const path = (ra: Ra, what: string): string => `/v1/devices/${ra.id}/${what}`;
const proposeFrom = (ra: Ra, since: Date, reason = 'privilegeWithdrawn') =>
  plane.post(path(ra, 'revoke-obtained'), { since: since.toISOString(), reason }, officer);

async function approved(ra: Ra, since: Date, reason?: string): Promise<{ subject: string; certificates: number }> {
  const answer = await proposeFrom(ra, since, reason);
  expect({ status: answer.status, text: answer.text }).toMatchObject({ status: 202 });
  const { approvalId, digest } = answer.json<{ approvalId: string; digest: string }>();
  const { result } = await approve(api, approver, approvalId, { digest });
  return { subject: `${ra.id}:${approvalId}`, certificates: result['certificates'] as number };
}

describe('what a registration authority obtained', () => {
  test('is told to whoever revokes its certificate or the device as compromised, with what to do next', async () => {
    const ra = await makeRa();
    await obtain(ra);
    await obtain(ra);
    const serial = serialOf(ra.certificate);
    const superseded = await revokeCertificate(api, db.operator, serial, { reason: 'superseded' });
    expect(superseded.obtained).toBeUndefined();
    const receipt = await plane.post(`/v1/certificates/${serial}/revoke`, { reason: 'keyCompromise' }, officer);
    const { obtained } = receipt.json<{ obtained: { since: string; next: string } }>();
    expect(obtained).toMatchObject({ deviceId: ra.id, certificates: 2, revoked: 0 });
    expect(obtained.next).toBe(`npx touchmark device revoke-obtained ${ra.id} --since ${obtained.since}`);
    expect(await revokeDevice(api, db.operator, ra.id, { reason: 'keyCompromise' })).toMatchObject({
      obtained: { certificates: 2, revoked: 0 },
    });
    const { certificate } = await makeEnrolled(db, product);
    const other = await revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'keyCompromise' });
    expect(other.obtained).toBeUndefined();
  });

  test('is listed and counted by the registration authority, a foreign or malformed one as none', async () => {
    const [ra, other] = [await makeRa(), await makeRa()];
    const { certificate } = await obtain(ra);
    await obtain(other);
    const list = async (id: string) =>
      (await plane.get(`/v1/certificates?ra=${id}`, officer)).json<{ items: { serial: string }[] }>().items;
    expect((await list(ra.id)).map(({ serial }) => serial)).toEqual([serialOf(certificate)]);
    expect(await list('nobody')).toEqual([]);
    expect((await plane.get(path(ra, 'obtained'), officer)).json()).toMatchObject({ certificates: 1, revoked: 0 });
    const future = new Date(Date.now() + 60_000).toISOString();
    const none = await plane.get(`${path(ra, 'obtained')}?since=${future}`, officer);
    expect(none.json()).toMatchObject({ certificates: 0 });
    expect((await plane.get('/v1/devices/0197b2c6-0000-7000-8000-000000000000/obtained', officer)).status).toBe(404);
  });

  test('since a time is revoked by two people, with what devices got by it; what is older or of others stays', async () => {
    const [ra, other] = [await makeRa(), await makeRa()];
    const old = await obtain(ra);
    const since = new Date((await obtain(other)) && Date.now());
    const first = await obtain(ra);
    const heir = await renew(first.made, first.certificate);
    const second = await obtain(ra);
    const elsewhere = await obtain(other);
    const { subject, certificates } = await approved(ra, since);
    expect(certificates).toBe(2);
    // Obtained after the approval, by an RA that is in the right hands again.
    const later = await obtain(ra);
    expect(await followRa(worker, subject)).toEqual({ certificates: 2, revoked: 3 });
    await api.follower.catchUp(worker.follower.index.seq);
    for (const one of [first.certificate, heir, second.certificate]) expect(statusOf(one)).toBe('revoked');
    for (const one of [old, elsewhere, later]) expect(statusOf(one.certificate)).toBe('active');
    await expect(renew(first.made, heir)).rejects.toMatchObject({ kind: 'forbidden' });
    const [audit] = await db.sql<{ detail: object }>(
      `select convert_from(canonical, 'UTF8')::jsonb -> 'detail' as detail from audit where action = 'ra.obtainedRevoked'`,
    );
    expect(audit?.detail).toMatchObject({ certificates: 2, since: since.toISOString() });
    expect(await followRa(worker, subject)).toEqual({ certificates: 2, revoked: 0 });
  });

  test('is looked through again until nothing that had begun can follow, and then no more', async () => {
    const ra = await makeRa();
    await obtain(ra);
    const { subject } = await approved(ra, new Date(0));
    const open = async () =>
      db.sql(`select 1 from outbox where topic = 'ra.wanted' and subject = $1 and done_at is null`, [subject]);
    await followRa(worker, subject);
    expect(await open()).toHaveLength(1);
    shift = 16;
    await followRa(worker, subject);
    shift = 0;
    expect(await open()).toEqual([]);
  });

  test('as compromised also has its keys blocked', async () => {
    const ra = await makeRa();
    const { certificate } = await obtain(ra);
    const { subject } = await approved(ra, new Date(0), 'keyCompromise');
    await followRa(worker, subject);
    const { sha256 } = readCertificate(certificate).publicKey;
    expect(await db.sql(`select source from blocked_keys where spki_sha256 = $1`, [sha256])).toHaveLength(1);
  });

  test('is not revoked by one person, for what is still to come, for a hold, or where there is nothing', async () => {
    const ra = await makeRa();
    expect((await proposeFrom(ra, new Date(0))).status).toBe(409);
    const { certificate } = await obtain(ra);
    expect((await proposeFrom(ra, new Date(0), 'certificateHold')).status).toBe(400);
    expect([409, 422]).toContain((await proposeFrom(ra, new Date(Date.now() + 600_000))).status);
    const proposal = (await proposeFrom(ra, new Date(0))).json<{ approvalId: string; digest: string }>();
    const itself = plane.post(`/v1/approvals/${proposal.approvalId}/approve`, { digest: proposal.digest }, officer);
    expect((await itself).status).toBe(403);
    expect(statusOf(certificate)).toBe('active');
  });

  test('is counted no further than a person may wait for it, the newest first', async () => {
    const ra = await makeRa();
    const [, second] = [await obtain(ra), await obtain(ra)];
    await revokeCertificate(api, db.operator, serialOf(second.certificate), { reason: 'superseded' });
    const by = { raId: ra.id, since: new Date(0), until: null };
    const count = (most?: number) =>
      api.database.transaction((tx) => countObtained(tx, by, new Date(), most), {
        scope: { organizationId: db.authorityId, authority: true },
      });
    expect([await count(), await count(1)]).toEqual([
      { certificates: 2, revoked: 1 },
      { certificates: 1, revoked: 1 },
    ]);
  });

  test('holds no other registration authority, neither a first certificate nor a key in place of its own', async () => {
    const [ra, other] = [await makeRa(), await makeRa()];
    const taking = { ...shippedLabel(raProfile), authentication: label.authentication };
    const presented = presents({ peerCertificate: () => ra.certificate });
    const { appId } = product;
    const { device } = await registerDevice(api, db.operator, { appId, profile: 'ra' });
    const first = enrollRequest({ device, secret: '' }, newKey(), { label: taking, presented });
    const [row] = await db.sql<{ instanceId: string }>(
      `select instance_id as "instanceId" from devices where id = $1`,
      [other.id],
    );
    const named = { id: other.id, instanceId: row?.instanceId ?? '' };
    const renewal = renewRequest(named, ra.certificate, newKey(), { label: taking });
    for (const asked of [first, renewal]) {
      await expect(enrollOverEst(est, asked)).rejects.toMatchObject({ kind: 'forbidden' });
    }
    const obtained = await db.sql(`select 1 from certificates where requester like $1`, [`ra:${ra.id}%`]);
    expect(obtained).toEqual([]);
    const own = renewRequest(named, other.certificate, newKey(), { label: taking });
    expect(readCertificate(await enroll(est, own)).subject).toEqual(readCertificate(other.certificate).subject);
  });

  test('a row of the log that somebody planted revokes nothing', async () => {
    const ra = await makeRa();
    const { certificate } = await obtain(ra);
    expect(await followRa(worker, `${ra.id}:0197b2c6-0000-7000-8000-000000000000`)).toEqual({
      certificates: 0,
      revoked: 0,
    });
    expect(statusOf(certificate)).toBe('active');
  });
});
