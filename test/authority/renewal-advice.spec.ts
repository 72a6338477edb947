import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  callRenewal,
  changeDevice,
  createDeviceGroup,
  renewalAdvice,
  revokeCertificate,
  type AuthorityContext,
} from '#authority';
import { ManualClock } from '#kernel';
import { readCertificate } from '#pki';
import { renewalWindow } from '#policy';
import { blockKey } from '#store';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { newKey } from '../harness/device.js';
import { enroll, makeEnrolled, makeProduct, renewRequest, type Product } from '../harness/fixtures.js';
import { makePerson } from '../harness/people.js';

let db: TestDatabase;
let api: AuthorityContext;
let est: AuthorityContext;
let product: Product;
let clock: ManualClock;
beforeAll(async () => {
  clock = new ManualClock(new Date());
  db = await startTestDatabase({ clock });
  [api, est] = [await db.context('api'), await db.context('est')];
  product = await makeProduct(api, db.operator);
});
afterAll(() => db.stop());

const serialOf = (certificate: Buffer): string => readCertificate(certificate).serial;
const advice = (certificate: Buffer) => renewalAdvice(api, db.operator, serialOf(certificate));
/** The database says when something was issued, by a clock of its own. */
const settle = async () => {
  await new Promise((resolve) => setTimeout(resolve, 20));
  clock.advance(Math.max(20, Date.now() - clock.now().getTime()));
};

describe('the advice when to renew', () => {
  test('is a window that follows from the certificate, the same on every plane', async () => {
    const { certificate } = await makeEnrolled(db, product);
    const { serial, notBefore, notAfter } = readCertificate(certificate);
    const window = renewalWindow({ serial: Buffer.from(serial, 'hex'), notBefore, notAfter });
    expect(await advice(certificate)).toEqual({ serial, ...window, now: false });
    expect(await renewalAdvice(api, db.operator, serial.toUpperCase())).toEqual({ serial, ...window, now: false });
    // As the status plane asks: with its own rights, for nobody.
    const view = { ...est, database: await db.as('responder') };
    expect(await renewalAdvice(view, undefined, serial)).toEqual({ serial, ...window, now: false });
  });

  test('is none for what is not there, not of the caller, revoked, held or over', async () => {
    const { certificate } = await makeEnrolled(db, product);
    expect(await renewalAdvice(api, db.operator, '01'.repeat(12))).toBeUndefined();
    expect(await renewalAdvice(api, db.operator, 'zz')).toBeUndefined();
    const stranger = await makePerson(db, ['officer'], (await makeProduct(api, db.operator)).vendorId);
    expect(await renewalAdvice(api, stranger, serialOf(certificate))).toBeUndefined();
    for (const reason of ['certificateHold', 'superseded'] as const) {
      const one = await makeEnrolled(db, product);
      await revokeCertificate(api, db.operator, serialOf(one.certificate), { reason });
      expect(await advice(one.certificate)).toBeUndefined();
    }
  });

  test('is now for what was issued before somebody called for its group; not for what is issued after', async () => {
    const group = await createDeviceGroup(api, db.operator, { name: 'Cameras', vendorId: product.vendorId });
    const inside = await makeEnrolled(db, product);
    const outside = await makeEnrolled(db, product);
    await changeDevice(api, db.operator, inside.device.id, { groupId: group.id });
    await settle();
    const { calledAt } = await callRenewal(api, db.operator, { kind: 'group', id: group.id, reason: 'leak' });
    expect(await advice(inside.certificate)).toMatchObject({ now: true });
    expect((await advice(inside.certificate))!.end.getTime()).toBeLessThanOrEqual(calledAt.getTime());
    expect(await advice(outside.certificate)).toMatchObject({ now: false });
    await settle();
    const next = await enroll(est, renewRequest(inside.device, inside.certificate, newKey()));
    expect(await advice(next)).toMatchObject({ now: false });
    expect(await db.sql(`select actor from audit where action = 'renewal.called'`)).toEqual([
      { actor: db.operator.id },
    ]);
  });

  test('is now for a key that is blocked', async () => {
    const { certificate } = await makeEnrolled(db, product);
    const owner = await db.as('owner');
    await owner.transaction((tx) => blockKey(tx, readCertificate(certificate).publicKey.sha256, 'leaked'));
    expect(await advice(certificate)).toMatchObject({ now: true });
  });

  test('is not changed by a call that somebody wrote into the table', async () => {
    const group = await createDeviceGroup(api, db.operator, { name: 'Doors', vendorId: product.vendorId });
    const { device, certificate } = await makeEnrolled(db, product);
    await changeDevice(api, db.operator, device.id, { groupId: group.id });
    await settle();
    await db.sql(
      `insert into renewal_calls select gen_random_uuid(), 'group', $1, called_by, $2, reason, owner_org_id, issuer_org_id, mac
       from renewal_calls limit 1`,
      [group.id, clock.now()],
    );
    // Whoever calls reads the calls anew.
    const another = await createDeviceGroup(api, db.operator, { name: 'Gates', vendorId: product.vendorId });
    await callRenewal(api, db.operator, { kind: 'group', id: another.id, reason: 'drill' });
    expect(await advice(certificate)).toMatchObject({ now: false });
  });

  test('is called for by whom the group belongs to, and for a CA by the authority alone', async () => {
    const group = await createDeviceGroup(api, db.operator, { name: 'Lamps', vendorId: product.vendorId });
    const other = await makeProduct(api, db.operator);
    const stranger = await makePerson(db, ['officer'], other.vendorId);
    const issuer = await api.issuers.issuing();
    await expect(callRenewal(api, stranger, { kind: 'group', id: group.id, reason: 'x' })).rejects.toMatchObject({
      kind: 'notFound',
    });
    await expect(callRenewal(api, stranger, { kind: 'issuer', id: issuer.id, reason: 'x' })).rejects.toMatchObject({
      kind: 'forbidden',
    });
    const { certificate } = await makeEnrolled(db, product);
    await settle();
    await callRenewal(api, db.operator, { kind: 'issuer', id: issuer.id, reason: 'drill' });
    expect(await advice(certificate)).toMatchObject({ now: true });
  });
});
