import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  approve,
  introspect,
  issueKey,
  proposeIssuerRevocation,
  releaseCertificate,
  resumeDevice,
  resumeKey,
  revokeCertificate,
  revokeDevice,
  revokeKey,
  suspendDevice,
  suspendKey,
  type AuthorityContext,
} from '#authority';
import { readCertificate } from '#pki';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { enroll, enrollRequest, makeDevice, makeEnrolled, makeProduct, renewRequest } from '../harness/fixtures.js';
import { makePerson } from '../harness/people.js';

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  est = await db.context('est');
});
afterAll(() => db.stop());

const serialOf = (der: Buffer): string => readCertificate(der).serial;
const entryOf = (der: Buffer) => api.follower.index.certificate(serialOf(der));
const renew = (device: Parameters<typeof renewRequest>[0], certificate: Buffer) =>
  enroll(est, renewRequest(device, certificate, newKey()));

async function makeKey() {
  const { releaseId } = await makeProduct(api, db.operator);
  return issueKey(api, db.operator, { releaseId, audience: 'all', environment: 'live' });
}

describe('status columns written by SQL', () => {
  test('revive no revoked key, and keep no key from being revoked', async () => {
    const { row, key } = await makeKey();
    await revokeKey(api, db.operator, row.id, { reason: 'keyCompromise' });
    await db.tamper(`update keys set status = 'suspended', status_before = 'active' where id = $1`, [row.id]);
    await expect(resumeKey(api, db.operator, row.id)).rejects.toMatchObject({ kind: 'conflict' });
    expect(introspect(api, key, undefined)).toMatchObject({ active: false, reason: 'revoked' });
    const other = await makeKey();
    await db.tamper(`update keys set status = 'revoked' where id = $1`, [other.row.id]);
    await revokeKey(api, db.operator, other.row.id, { reason: 'superseded' });
    expect(introspect(api, other.key, undefined)).toMatchObject({ active: false, reason: 'revoked' });
  });

  test('lengthen no key: the end of a retiring one is what the log says', async () => {
    const { row, key } = await makeKey();
    await suspendKey(api, db.operator, row.id);
    await db.tamper(`update keys set ends_at = now() + interval '10 years', status_before = 'retiring' where id = $1`, [
      row.id,
    ]);
    await resumeKey(api, db.operator, row.id);
    expect(introspect(api, key, undefined)).toMatchObject({ active: true, status: 'active' });
    expect(api.follower.index.key(row.id)?.endsAt).toBeNull();
  });

  test('revive no revoked device', async () => {
    const { device, certificate } = await makeEnrolled(db);
    await revokeDevice(api, db.operator, device.id, { reason: 'keyCompromise' });
    await db.tamper(`update devices set status = 'suspended' where id = $1`, [device.id]);
    await expect(resumeDevice(api, db.operator, device.id)).rejects.toMatchObject({ kind: 'conflict' });
    expect(entryOf(certificate)?.status).toBe('revoked');
  });
});

test('a certificate moved to another device renews for neither', async () => {
  const victim = await makeEnrolled(db);
  const thief = await makeEnrolled(db);
  await db.tamper(`update certificates set device_id = $1 where serial = decode($2, 'hex')`, [
    victim.device.id,
    serialOf(thief.certificate),
  ]);
  await expect(renew(thief.device, thief.certificate)).rejects.toMatchObject({ code: 'rowMac' });
});

test('a spent secret stays spent, whoever says it is free', async () => {
  const made = await makeDevice(db);
  await enroll(est, enrollRequest(made, newKey()));
  const free = `update enrollment_secrets set state = 'free', bound_serial = null, bound_request = null where device_id = $1`;
  await expect(est.database.transaction((tx) => tx.run(free, [made.device.id]))).rejects.toMatchObject({
    kind: 'internal',
  });
  await expect(enroll(est, enrollRequest(made, newKey()))).rejects.toMatchObject({ kind: 'unauthenticated' });
});

test('an instanceId swapped in the database opens no enrollment secret', async () => {
  const [one, two] = [await makeDevice(db), await makeDevice(db)];
  const other = '6f1c2f0e-0000-4000-8000-000000000001';
  await db.tamper(`update devices set instance_id = $1 where id = $2`, [other, one.device.id]);
  await db.tamper(`update devices set instance_id = $1 where id = $2`, [one.device.instanceId, two.device.id]);
  await expect(
    enroll(est, enrollRequest({ ...two, device: { ...two.device, instanceId: one.device.instanceId } }, newKey())),
  ).rejects.toMatchObject({
    code: 'sealBroken',
  });
});

test('what was renewed with a compromised key ends with it, and nothing else of the device does', async () => {
  const { device, certificate } = await makeEnrolled(db);
  const apart = await renew(device, certificate);
  const stolen = await renew(device, certificate);
  const heir = await renew(device, stolen);
  const heirOfHeir = await renew(device, heir);
  await revokeCertificate(api, db.operator, serialOf(stolen), { reason: 'keyCompromise' });
  for (const one of [stolen, heir, heirOfHeir])
    expect(entryOf(one)).toMatchObject({ status: 'revoked', reason: 'keyCompromise' });
  for (const one of [certificate, apart]) expect(entryOf(one)).toBeUndefined();
  await est.follower.catchUp(entryOf(heirOfHeir)!.seq);
  await expect(renew(device, heirOfHeir)).rejects.toMatchObject({ kind: 'forbidden' });
});

describe('a hold of its own', () => {
  test('outlives the suspension of the device', async () => {
    const { device, certificate } = await makeEnrolled(db);
    await suspendDevice(api, db.operator, device.id);
    await revokeCertificate(api, db.operator, serialOf(certificate), { reason: 'certificateHold' });
    await resumeDevice(api, db.operator, device.id);
    expect(entryOf(certificate)?.status).toBe('onHold');
  });

  test('is not lifted while the device is suspended', async () => {
    const { device, certificate } = await makeEnrolled(db);
    await suspendDevice(api, db.operator, device.id);
    await expect(releaseCertificate(api, db.operator, serialOf(certificate))).rejects.toMatchObject({
      kind: 'conflict',
    });
  });
});

test('introspection answers nothing by a log that was not followed for a minute', async () => {
  const { key } = await makeKey();
  const stale: AuthorityContext = {
    ...api,
    follower: {
      ...api.follower,
      index: api.follower.index,
      assertFresh: (maxAgeMs) => {
        expect(maxAgeMs).toBeLessThanOrEqual(60_000);
        throw Object.assign(new Error('stale'), { kind: 'unavailable' });
      },
    },
  };
  expect(() => introspect(stale, key, undefined)).toThrow(expect.objectContaining({ kind: 'unavailable' }));
});

/** Last: nothing is issued after it. */
test('a revoked issuing CA issues nothing more, by secret, by renewal, for leaves seen before or not', async () => {
  const { device, certificate } = await makeEnrolled(db);
  await renew(device, certificate);
  const unseen = await makeEnrolled(db);
  const fresh = await makeDevice(db);
  const issuing = await api.issuers.issuing();
  const admin = await makePerson(db, ['admin']);
  const approver = await makePerson(db, ['approver']);
  const { approvalId } = await proposeIssuerRevocation(api, admin, issuing.id, 'cACompromise');
  await approve(api, approver, approvalId, {});
  await est.follower.catchUp(api.follower.index.seq);
  const before = await db.sql(`select 1 from certificates`);
  await expect(renew(device, certificate)).rejects.toMatchObject({ code: 'issuerRevoked' });
  // Its path is looked at for the first time, and already ends at the revoked CA.
  await expect(renew(unseen.device, unseen.certificate)).rejects.toMatchObject({ kind: 'forbidden' });
  await expect(enroll(est, enrollRequest(fresh, newKey()))).rejects.toMatchObject({ code: 'noActiveIssuer' });
  expect(await db.sql(`select 1 from certificates`)).toHaveLength(before.length);
});
