import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  approve,
  certificateStatus,
  deviceStatus,
  propose,
  resetDevice,
  revokeDevice,
  type AuthorityContext,
} from '#authority';
import { readCertificate } from '#pki';
import { appendStatusChanges, findCertificate, findDevice, type StatusChange } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { type TestDevice, enroll, enrollRequest, makeEnrolled, renewRequest } from '../harness/fixtures.js';
import { makePerson, type Person } from '../harness/people.js';

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
let officer: Person;
let approver: Person;
beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  est = await db.context('est');
  officer = await makePerson(db, ['officer']);
  approver = await makePerson(db, ['approver']);
});
afterAll(() => db.stop());

const everything = { scope: { organizationId: '00000000-0000-0000-0000-000000000000', authority: true } };
const shown = async (id: string) =>
  deviceStatus(api, (await api.database.transaction((tx) => findDevice(tx, id), everything))!);
const shownCertificate = async (der: Buffer) => {
  const serial = Buffer.from(readCertificate(der).serial, 'hex');
  const row = await api.database.transaction((tx) => findCertificate(tx, serial), everything);
  return certificateStatus(api, row!).status;
};
const proposeFor = (deviceId: string) => propose(api, officer, 'device.reenroll', { deviceId });

async function makeRevoked(reason = 'superseded') {
  const made = await makeEnrolled(db);
  await revokeDevice(api, officer, made.device.id, { reason });
  await est.follower.catchUp(api.follower.index.seq);
  return made;
}

/** Approved; the device with its new secret, and est knows of it. */
async function readmit(made: TestDevice): Promise<TestDevice> {
  const { approvalId } = await proposeFor(made.device.id);
  const { secretResult } = await approve(api, approver, approvalId, {});
  await est.follower.catchUp(api.follower.index.seq);
  return { device: made.device, secret: secretResult!.enrollment!.secret };
}

describe('a revoked device', () => {
  test('enrolls once more after a second person agreed; what was revoked stays revoked', async () => {
    const made = await makeRevoked();
    await expect(resetDevice(api, officer, made.device.id)).rejects.toMatchObject({ code: 'deviceRevoked' });
    const { approvalId } = await proposeFor(made.device.id);
    expect(await shown(made.device.id)).toBe('revoked');
    const { secretResult, result } = await approve(api, approver, approvalId, {});
    expect(result).toEqual({ deviceId: made.device.id });
    expect(secretResult?.enrollment).toEqual({
      username: made.device.id,
      secret: expect.stringMatching(/^tme1_/),
      expiresAt: expect.any(String),
    });
    expect(await shown(made.device.id)).toBe('registered');
    expect(await shownCertificate(made.certificate)).toBe('revoked');
    await est.follower.catchUp(api.follower.index.seq);
    const back = { device: made.device, secret: secretResult!.enrollment!.secret };
    await expect(enroll(est, enrollRequest(made, newKey()))).rejects.toMatchObject({ kind: 'unauthenticated' });
    const certificate = await enroll(est, enrollRequest(back, newKey()));
    expect(await shown(made.device.id)).toBe('enrolled');
    expect(await shownCertificate(certificate)).toBe('active');
    await expect(enroll(est, renewRequest(made.device, made.certificate, newKey()))).rejects.toMatchObject({
      kind: 'forbidden',
    });
    await enroll(est, renewRequest(made.device, certificate, newKey()));
  });

  test('is an ordinary one afterwards: reset by one person, and revoked again it takes two again', async () => {
    const made = await makeRevoked();
    await readmit(made);
    await resetDevice(api, officer, made.device.id);
    await expect(proposeFor(made.device.id)).rejects.toMatchObject({ code: 'deviceNotRevoked' });
    await revokeDevice(api, officer, made.device.id, { reason: 'superseded' });
    expect(await shown(made.device.id)).toBe('revoked');
    await expect(resetDevice(api, officer, made.device.id)).rejects.toMatchObject({ code: 'deviceRevoked' });
    const again = await readmit(made);
    await enroll(est, enrollRequest(again, newKey()));
  });

  test('does not come back with a key that was compromised', async () => {
    const made = await makeRevoked('keyCompromise');
    const back = await readmit(made);
    await expect(enroll(est, enrollRequest(back, made.key))).rejects.toMatchObject({ code: 'keyBlocked' });
    await enroll(est, enrollRequest(back, newKey()));
  });

  test('is readmitted once by two proposals that were open together', async () => {
    const made = await makeRevoked();
    const [first, second] = [await proposeFor(made.device.id), await proposeFor(made.device.id)];
    await approve(api, approver, first.approvalId, {});
    await expect(approve(api, approver, second.approvalId, {})).rejects.toMatchObject({ code: 'deviceNotRevoked' });
  });

  test('of somebody else is like one that does not exist', async () => {
    await expect(proposeFor(randomUUID())).rejects.toMatchObject({ kind: 'notFound' });
  });
});

describe('without an approval a revoked device stays revoked', () => {
  const row = (subject: string, status: string, reason: string | null): StatusChange => ({
    ...{ kind: 'device', subject, status, reason, at: db.clock.now() },
    ...{ invalidityDate: null, endsAt: null, issuerId: null, shard: null, notAfter: null },
  });
  const append = async (change: StatusChange) => {
    const owner = await db.as('owner');
    await api.follower.catchUp(await owner.transaction((tx) => appendStatusChanges(tx, db.macKey, [change])));
  };

  test.each([
    ['no reason', 'registered', null],
    ['another reason', 'registered', 'superseded'],
    ['something that only begins like it', 'registered', `reenrollment:${randomUUID()} or so`],
    ['the reason, but another status', 'enrolled', `reenrollment:${randomUUID()}`],
  ])('whatever a row of the log says: %s', async (_, status, reason) => {
    const { device } = await makeRevoked();
    await append(row(device.id, status, reason));
    expect(await shown(device.id)).toBe('revoked');
  });

  test('with the reason of an approval that was used already', async () => {
    const made = await makeRevoked();
    const { approvalId } = await proposeFor(made.device.id);
    await approve(api, approver, approvalId, {});
    await revokeDevice(api, officer, made.device.id, { reason: 'superseded' });
    await append(row(made.device.id, 'registered', `reenrollment:${approvalId}`));
    expect(await shown(made.device.id)).toBe('revoked');
  });

  test('whatever its own row says', async () => {
    const made = await makeRevoked();
    await db.sql(`update devices set status = 'registered' where id = $1`, [made.device.id]);
    expect(await shown(made.device.id)).toBe('revoked');
    await expect(resetDevice(api, officer, made.device.id)).rejects.toMatchObject({ code: 'deviceRevoked' });
  });
});
