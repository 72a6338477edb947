import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { approve, proposeProfile, proposeProfileChange, proposeProfileWithdrawal, registerDevice } from '#authority';
import { OID, readCertificate, readCertsOnly, toPem, type Certificate } from '#pki';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { basic, csrOf, newKey, type DeviceKey } from '../harness/device.js';
import { makeDevice, makeProduct, type Product, type TestDevice } from '../harness/fixtures.js';
import { decidersOf, inStep, makeLabel } from '../harness/manufacturer.js';
import { openEst, type EstPlane } from './access/plane.js';
import type { HttpsAnswer } from './https-request.js';

const DAY = 86_400;
const CAMERA = {
  name: 'camera',
  description: 'Cameras',
  keyTypes: ['ec-p256', 'ec-p384'],
  eku: [OID.clientAuth],
  validitySeconds: 30 * DAY,
  subject: 'device',
  san: [{ type: 'uuid', min: 1, max: 1 }],
};
const LABEL = 'front-door';

let db: TestDatabase;
let plane: EstPlane;
let product: Product;
beforeAll(async () => {
  db = await startTestDatabase();
  product = await makeProduct(await db.context('api'), db.operator);
  plane = await openEst(db);
});
afterAll(async () => {
  await plane?.close();
  await db?.stop();
});

async function decided(proposed: Promise<{ approvalId: string; digest: string }>): Promise<void> {
  const { approvalId, digest } = await proposed;
  await approve(await db.context('api'), (await decidersOf(db)).approver, approvalId, { digest });
  await inStep(db);
}

interface Holder {
  certificate: Certificate;
  key: DeviceKey;
}
const enroll = ({ device, secret }: TestDevice, key: DeviceKey, label: string): Promise<HttpsAnswer> =>
  plane.ask({ label, key, csr: csrOf(device, key), headers: { authorization: basic(device.id, secret) } });
const renew = ({ device }: TestDevice, { certificate, key }: Holder, next: DeviceKey): Promise<HttpsAnswer> =>
  plane.ask({
    operation: 'simplereenroll',
    label: LABEL,
    identity: { cert: toPem('CERTIFICATE', certificate.der), key: key.pem },
    csr: csrOf(device, next),
  });
function certificateIn(answer: HttpsAnswer): Certificate {
  expect({ status: answer.status, text: answer.status === 200 ? '' : answer.text }).toEqual({ status: 200, text: '' });
  return readCertificate(readCertsOnly(Buffer.from(answer.text, 'base64'))[0]!);
}
/** From now on: the beginning is put back for slow clocks. */
const daysOf = ({ notAfter }: Certificate): number =>
  Math.round((notAfter.getTime() - db.clock.now().getTime()) / 1000 / DAY);

test("a profile and a label of one's own: from the proposal to a renewal that a tightened policy holds for", async () => {
  const api = await db.context('api');
  const { admin } = await decidersOf(db);
  expect((await plane.ask({ label: 'camera' })).status).toBe(404);
  await decided(proposeProfile(api, admin, CAMERA));
  // Its label is there at once, without a restart and without being made.
  expect((await plane.ask({ label: 'camera' })).status).toBe(401);
  await makeLabel(db, { profile: 'camera' }, LABEL);

  const { appId } = product;
  const { device, enrollment } = await registerDevice(api, db.operator, { appId, profile: 'camera' });
  const made = { device, secret: enrollment.secret };
  const elsewhere = await enroll(made, newKey(), 'device');
  expect([elsewhere.status, elsewhere.text]).toEqual([403, expect.stringMatching(/registered for another profile/)]);
  const stranger = await enroll(await makeDevice(db, product), newKey(), LABEL);
  expect([stranger.status, stranger.text]).toEqual([403, expect.stringMatching(/registered for another profile/)]);

  const key = newKey();
  const first: Holder = { certificate: certificateIn(await enroll(made, key, LABEL)), key };
  expect(first.certificate.eku).toEqual([OID.clientAuth]);
  expect(daysOf(first.certificate)).toBe(30);
  const next = newKey();
  const second: Holder = { certificate: certificateIn(await renew(made, first, next)), key: next };
  expect(daysOf(second.certificate)).toBe(30);

  await decided(proposeProfileChange(api, admin, 'camera', { keyTypes: ['ec-p384'], validitySeconds: 9 * DAY }));
  const weak = await renew(made, second, newKey());
  expect([weak.status, weak.text]).toEqual([400, expect.stringMatching(/keys of type ec-p256 are not allowed/)]);
  const strong = newKey('P-384');
  const third: Holder = { certificate: certificateIn(await renew(made, second, strong)), key: strong };
  expect(daysOf(third.certificate)).toBe(9);
  const versions = await db.sql<{ profile: string; version: number }>(
    `select profile, profile_version as version from certificates where device_id = $1 order by created_at`,
    [device.id],
  );
  expect(versions).toEqual([1, 1, 2].map((version) => ({ profile: 'camera', version })));

  // While a label issues by it, it stays.
  await expect(proposeProfileWithdrawal(api, admin, 'camera')).rejects.toMatchObject({ kind: 'conflict' });
});
