import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  enrollOverEst,
  currentLabel,
  reconcileIntents,
  registerDevice,
  resetDevice,
  type AuthorityContext,
  type EstRequest,
} from '#authority';
import { AuthorityError } from '#kernel';
import { OID, readCertificate, readCsr } from '#pki';
import { approveEnrollment } from '../harness/approve-enrollment.js';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { csrOf, newKey } from '../harness/device.js';
import { enroll, enrollRequest, makeEnrolled, makeProduct, presents, type Product } from '../harness/fixtures.js';
import { makeAnchors, makeLabel, makeManufacturer, type Manufacturer } from '../harness/manufacturer.js';
import { plainCsr } from '../est/access/plane.js';

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
let worker: AuthorityContext;
let product: Product;
let acme: Manufacturer;
let label: string;
let raLabel: string;
beforeAll(async () => {
  db = await startTestDatabase();
  [api, est, worker] = [await db.context('api'), await db.context('est'), await db.context('worker')];
  product = await makeProduct(api, db.operator);
  acme = await makeManufacturer();
  const chain = { certificates: [acme.rootPem], intermediates: [acme.intermediatePem] };
  const set = await makeAnchors(db, product, { ...chain, register: 'automatic' });
  label = await makeLabel(db, { authentication: ['manufacturer'], anchors: [set] });
  raLabel = await makeLabel(db, { authentication: ['ra'] });
});
afterAll(() => db.stop());

const requestBy = (peer: Buffer, csr: Buffer, rest: Partial<EstRequest> = {}): EstRequest => ({
  operation: 'simpleenroll',
  label: currentLabel(est, label)!,
  csr: readCsr(csr),
  presented: presents({ peerCertificate: () => peer }),
  address: '192.0.2.1',
  requestId: 'test',
  ...rest,
});

const gone = () => Promise.reject(new AuthorityError('unavailable', 'cut off', { retryAfter: 1 }));

/** The plane as it is when something stops it: before the signature, or between signature and certificate. */
const cutAt = (point: 'before sign' | 'after sign'): AuthorityContext => ({
  ...est,
  signer: {
    ...est.signer,
    createKey: (keyType) => est.signer.createKey(keyType),
    sign: async (request) => {
      if (point === 'after sign') await est.signer.sign(request);
      return gone();
    },
  },
});

const stateOf = async (identity: string) =>
  (
    await db.sql<{ device: string; status: string; secret: string; serial: string; state: string }>(
      `select d.id as device, d.status, s.state as secret, encode(s.bound_serial, 'hex') as serial, x.state
       from device_identities i join devices d on d.id = i.device_id join enrollment_secrets s on s.device_id = d.id
         left join serials x on x.serial = s.bound_serial where i.value = $1`,
      [identity],
    )
  )[0]!;

describe.each(['before sign', 'after sign'] as const)('an enrollment by manufacturer that was cut off %s', (point) => {
  const identity = `SN-${point}`;

  test('ends with one certificate when the device asks again, also for another key when the intent was given up', async () => {
    const { der } = await acme.issue({ serialNumber: `${identity}-1` });
    const key = newKey();
    const request = () => requestBy(der, plainCsr(key));
    await expect(enroll(cutAt(point), request())).rejects.toMatchObject({ kind: 'unavailable' });
    const open = await stateOf(`${identity}-1`);
    expect(open).toMatchObject({ status: 'registered', secret: 'bound', state: 'issuing' });
    const other = enroll(est, requestBy(der, plainCsr(newKey())));
    await expect(other).rejects.toMatchObject({ code: 'enrolledAlready' });
    const certificate = await enroll(est, request());
    expect(readCertificate(certificate).serial).toBe(open.serial);
    expect(await stateOf(`${identity}-1`)).toMatchObject({ status: 'enrolled', secret: 'spent', state: 'issued' });
  });

  test('is finished by the reconciler when nobody asks', async () => {
    const { der } = await acme.issue({ serialNumber: `${identity}-2` });
    const key = newKey();
    const request = () => requestBy(der, plainCsr(key));
    await expect(enroll(cutAt(point), request())).rejects.toMatchObject({ kind: 'unavailable' });
    await reconcileIntents(worker, 0);
    const done = await stateOf(`${identity}-2`);
    expect(done).toMatchObject({ status: 'enrolled', secret: 'spent', state: 'issued' });
    expect(readCertificate(await enroll(est, request())).serial).toBe(done.serial);
  });

  test('that is abandoned leaves the device able to enroll, with whatever key', async () => {
    const { der } = await acme.issue({ serialNumber: `${identity}-3` });
    await expect(enroll(cutAt(point), requestBy(der, plainCsr(newKey())))).rejects.toMatchObject({
      kind: 'unavailable',
    });
    const { serial } = await stateOf(`${identity}-3`);
    await db.tamper(`update certificates set created_at = now() - interval '1 hour' where serial = decode($1, 'hex')`, [
      serial,
    ]);
    await reconcileIntents(worker, 0);
    expect(await stateOf(`${identity}-3`)).toMatchObject({ status: 'registered', secret: 'free', serial: null });
    const certificate = await enroll(est, requestBy(der, plainCsr(newKey())));
    expect(readCertificate(certificate).serial).not.toBe(serial);
  });
});

describe('a renewal by a registration authority', () => {
  test('that was cut off is finished by the reconciler and marks what it renewed', async () => {
    const { device: raDevice, enrollment } = await registerDevice(api, db.operator, {
      appId: product.appId,
      profile: 'ra',
    });
    const asRa = enrollRequest({ device: raDevice, secret: enrollment.secret }, newKey(), {
      label: currentLabel(est, 'ra')!,
    });
    expect(await enrollOverEst(est, asRa)).toMatchObject({ state: 'pending' });
    await approveEnrollment(db, raDevice.id);
    const ra = await enroll(est, asRa);
    const { device, certificate } = await makeEnrolled(db, product);
    const key = newKey();
    const rest = { operation: 'simplereenroll', label: currentLabel(est, raLabel)! } as const;
    const request = () => requestBy(ra, csrOf(device, key), rest);
    await expect(enroll(cutAt('after sign'), request())).rejects.toMatchObject({ kind: 'unavailable' });
    await reconcileIntents(worker, 0);
    const renewed = await enroll(est, request());
    const [row] = await db.sql<{ next: string }>(
      `select encode(superseded_by, 'hex') as next from certificates where serial = decode($1, 'hex')`,
      [readCertificate(certificate).serial],
    );
    expect(row?.next).toBe(readCertificate(renewed).serial);
  });
});

describe('what stands for the one enrollment that was granted', () => {
  test('is the newest secret, and none that SQL altered', async () => {
    const { der } = await acme.issue({ serialNumber: 'SN-grant' });
    await enroll(est, requestBy(der, plainCsr(newKey())));
    const { device } = await stateOf('SN-grant');
    await db.tamper(
      `insert into enrollment_secrets (id, device_id, sealed_verifier, pepper_version, expires_at, owner_org_id, issuer_org_id)
       select 'AAAAAAAAAAAAAA', device_id, sealed_verifier, pepper_version, expires_at, owner_org_id, issuer_org_id
       from enrollment_secrets where device_id = $1`,
      [device],
    );
    const attempt = enroll(est, requestBy(der, plainCsr(newKey())));
    await expect(attempt).rejects.toMatchObject({ kind: 'internal' });
    await db.tamper(`delete from enrollment_secrets where id = 'AAAAAAAAAAAAAA'`);
    await resetDevice(api, db.operator, device);
    await enroll(est, requestBy(der, plainCsr(newKey())));
  });

  test('is counted by the quota of the vendor like any other', async () => {
    const taken: string[] = [];
    const quotas = Object.create(est.quotas, {
      take: { value: (name: string, id: string) => Promise.resolve(taken.push(`${name} ${id}`)) },
    }) as typeof est.quotas;
    const { der } = await acme.issue({ serialNumber: 'SN-quota' });
    await enroll({ ...est, quotas }, requestBy(der, plainCsr(newKey())));
    expect(taken).toEqual([`issuance ${product.vendorId}`]);
  });

  test('is asked for with a key that may not be certified: nothing is registered', async () => {
    const { der } = await acme.issue({ serialNumber: 'SN-blocked' });
    const key = newKey();
    await db.sql(`insert into blocked_keys (spki_sha256, reason) values (sha256($1), 'keyCompromise')`, [key.spki]);
    const attempt = enroll(est, requestBy(der, plainCsr(key)));
    await expect(attempt).rejects.toMatchObject({ code: 'keyBlocked' });
    expect(await db.sql(`select 1 from device_identities where value = 'SN-blocked'`)).toEqual([]);
  });
});

test('somebody has to approve where the set of anchors says so: nothing is issued without (E42)', async () => {
  const set = await makeAnchors(db, product, { certificates: [acme.rootPem], register: 'approval' });
  const at = await makeLabel(db, { authentication: ['manufacturer'], anchors: [set] });
  const { der } = await acme.issueByRoot({ serialNumber: 'SN-approval', eku: [OID.clientAuth] });
  const request = requestBy(der, plainCsr(newKey()), { label: currentLabel(est, at)! });
  expect(await enrollOverEst(est, request)).toMatchObject({ state: 'pending' });
  const { device } = await stateOf('SN-approval');
  await approveEnrollment(db, device);
  expect(await enrollOverEst(est, request)).toMatchObject({ state: 'issued' });
});
