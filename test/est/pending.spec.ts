import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { addFingerprint, registerDevice, revokeDevice, type AuthorityContext } from '#authority';
import { readCertificate, readCertsOnly, toPem } from '#pki';
import { renewalWindow } from '#policy';
import { planeOf, type ApiPlane } from '../api/plane.js';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { basic, csrOf, newKey, type DeviceKey } from '../harness/device.js';
import { makeDevice, makeProduct, type Product, type TestDevice } from '../harness/fixtures.js';
import { makeAnchors, makeLabel, makeManufacturer, selfSignedIdentity } from '../harness/manufacturer.js';
import { makePerson, makeToken } from '../harness/people.js';
import { openEst, plainCsr, type Asking, type EstPlane } from './access/plane.js';
import type { HttpsAnswer } from './https-request.js';

let db: TestDatabase;
let context: AuthorityContext;
let api: ApiPlane;
let plane: EstPlane;
let product: Product;
let approver: string;
let label: string;
beforeAll(async () => {
  db = await startTestDatabase();
  context = await db.context('api');
  api = await planeOf(context);
  plane = await openEst(db);
  product = await makeProduct(context, db.operator);
  approver = await makeToken(db, await makePerson(db, ['approver']), ['approver']);
  label = await makeLabel(db, { approval: true, authentication: ['secret', 'certificate', 'fingerprint'] });
});
afterAll(async () => {
  await plane?.close();
  await api?.close();
  await db?.stop();
});

const bySecret = ({ device, secret }: TestDevice, key: DeviceKey): Asking => ({
  label,
  key,
  csr: csrOf(device, key),
  headers: { authorization: basic(device.id, secret) },
});
const certificateOf = (answer: HttpsAnswer): Buffer => {
  expect({ status: answer.status, text: answer.status === 200 ? '' : answer.text }).toEqual({ status: 200, text: '' });
  return readCertsOnly(Buffer.from(answer.text, 'base64'))[0]!;
};
const waitingOf = async (deviceId: string) => {
  const { items } = (await api.get('/v1/approvals?operation=enrollment&state=proposed&limit=200', approver)).json<{
    items: {
      id: string;
      subject: string;
      digest: string;
      parameters: Record<string, unknown>;
      issues?: Record<string, unknown>;
    }[];
  }>();
  return items.filter(({ subject }) => subject === `device:${deviceId}`);
};

function expectPending(answer: HttpsAnswer): void {
  expect({ status: answer.status, text: answer.text }).toEqual({
    status: 202,
    text: 'The request waits for approval; send it again later\n',
  });
  expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8');
  expect(answer.headers['cache-control']).toBe('no-store');
  expect(answer.headers['retry-after']).toMatch(/^[1-9]\d{1,3}$/);
}

test('a first enrollment waits (202, Retry-After), is shown, approved, and fetched by the same request (E87, E88)', async () => {
  const made = await makeDevice(db, product);
  const key = newKey();
  expectPending(await plane.ask(bySecret(made, key)));
  expectPending(await plane.ask(bySecret(made, key)));
  const [shown, ...more] = await waitingOf(made.device.id);
  expect(more).toEqual([]);
  expect(shown!.parameters).toMatchObject({
    deviceId: made.device.id,
    keyType: 'ec-p256',
    names: [`uri:urn:uuid:${made.device.instanceId}`],
    address: '127.0.0.1',
    profile: 'device',
  });
  // Nothing else would be issued than is asked for.
  expect(shown!.issues).toBeUndefined();
  const approved = await api.post(`/v1/approvals/${shown!.id}/approve`, { digest: shown!.digest }, approver);
  expect(approved.json()).toMatchObject({ operation: 'enrollment', state: 'executed', proposerPerson: null });
  const answer = await plane.ask(bySecret(made, key));
  const certificate = readCertificate(certificateOf(answer));
  expect(certificate.publicKey.spki).toEqual(key.spki);
  const { serial, notBefore, notAfter } = certificate;
  const { start, end } = renewalWindow({ serial: Buffer.from(serial, 'hex'), notBefore, notAfter });
  expect(answer.headers['renewal-window']).toBe(`start=${start.getTime() / 1000}, end=${end.getTime() / 1000}`);
  const { result } = (await api.get(`/v1/approvals/${shown!.id}`, approver)).json<{ result: unknown }>();
  expect(result).toEqual({ reason: null, serial });
  expect((await api.get(`/v1/certificates/${serial}/renewal`, approver)).json()).toEqual({
    serial,
    suggestedWindow: { start: start.toISOString(), end: end.toISOString() },
    now: false,
  });
});

test('whoever approves is shown the names that would be issued, where others, or none, were asked for', async () => {
  const made = await makeDevice(db, product);
  const key = newKey();
  expectPending(await plane.ask({ ...bySecret(made, key), csr: plainCsr(key) }));
  const [shown] = await waitingOf(made.device.id);
  const issues = {
    subject: expect.stringContaining(made.device.id),
    names: [`uri:urn:uuid:${made.device.instanceId}`],
    refusal: null,
  };
  expect(shown).toMatchObject({ parameters: { names: [] }, issues });
  const one = () => api.get(`/v1/approvals/${shown!.id}`, approver);
  expect((await one()).json()).toEqual(shown);
  // By the registry as it is now: nothing that SQL put there.
  await db.tamper(`update devices set names = '[{"type":"dns","value":"evil.example"}]' where id = $1`, [
    made.device.id,
  ]);
  const refusal = expect.stringMatching(/./);
  expect((await one()).json()).toMatchObject({ issues: { names: [], refusal } });
  const rejected = await api.post(`/v1/approvals/${shown!.id}/reject`, {}, approver);
  expect(rejected.json()).not.toHaveProperty('issues');
});

test('a rejected one is told the reason (403), as text and as problem+json (E89, EX16)', async () => {
  const made = await makeDevice(db, product);
  const asking = bySecret(made, newKey());
  expectPending(await plane.ask(asking));
  const [shown] = await waitingOf(made.device.id);
  const rejected = await api.post(`/v1/approvals/${shown!.id}/reject`, { reason: 'sold in another country' }, approver);
  expect(rejected.json()).toMatchObject({ state: 'rejected', result: { reason: 'sold in another country' } });
  const answer = await plane.ask(asking);
  expect({ status: answer.status, text: answer.text }).toEqual({
    status: 403,
    text: 'the enrollment was rejected: sold in another country\n',
  });
  const problem = await plane.ask({ ...asking, headers: { ...asking.headers, accept: 'application/problem+json' } });
  expect(JSON.parse(problem.text)).toMatchObject({ type: 'urn:touchmark:problem:enrollmentRejected', status: 403 });
  expect(await db.sql(`select 1 from certificates where device_id = $1`, [made.device.id])).toEqual([]);
});

test('one list shows proposals and enrollments in the order of time, page by page', async () => {
  const one = await makeDevice(db, product);
  expectPending(await plane.ask(bySecret(one, newKey())));
  await makeLabel(db, { description: 'between' }, 'between');
  const two = await makeDevice(db, product);
  expectPending(await plane.ask(bySecret(two, newKey())));
  interface Page {
    items: { id: string; operation: string }[];
    nextCursor: string | null;
  }
  const whole = (await api.get('/v1/approvals?limit=200', approver)).json<Page>();
  expect(whole.items.slice(0, 3).map(({ operation }) => operation)).toEqual([
    'enrollment',
    'label.change',
    'enrollment',
  ]);
  const paged: string[] = [];
  for (let cursor = ''; ;) {
    const page = (await api.get(`/v1/approvals?limit=2${cursor}`, approver)).json<Page>();
    paged.push(...page.items.map(({ id }) => id));
    if (page.nextCursor === null) break;
    cursor = `&cursor=${encodeURIComponent(page.nextCursor)}`;
  }
  expect(paged).toEqual(whole.items.map(({ id }) => id));
  const changes = (await api.get('/v1/approvals?operation=label.change&limit=200', approver)).json<Page>();
  expect(new Set(changes.items.map(({ operation }) => operation))).toEqual(new Set(['label.change']));
});

describe('whoever asks by other means waits as well', () => {
  async function waitsThenGets(deviceId: () => Promise<string>, asking: Asking): Promise<void> {
    expectPending(await plane.ask(asking));
    expectPending(await plane.ask(asking));
    const id = await deviceId();
    const [shown, ...more] = await waitingOf(id);
    expect(more).toEqual([]);
    expect((await api.post(`/v1/approvals/${shown!.id}/approve`, {}, approver)).status).toBe(200);
    const certificate = certificateOf(await plane.ask(asking));
    expect(certificateOf(await plane.ask(asking))).toEqual(certificate);
    // One first certificate: another key asks for nothing any more.
    const other = newKey();
    const again = await plane.ask({
      ...asking,
      key: other,
      csr: plainCsr(other),
    });
    expect(again.status).toBe(403);
  }

  test('by a registered fingerprint', async () => {
    const { device } = await makeDevice(db, product);
    const identity = await selfSignedIdentity();
    const [der] = [readCertificate(Buffer.from(identity.cert.replace(/-----[^-]+-----|\s/g, ''), 'base64'))];
    await addFingerprint(context, db.operator, device.id, {
      kind: 'certificate',
      value: der!.sha256.toString('hex'),
    });
    const key = newKey();
    await waitsThenGets(() => Promise.resolve(device.id), { label, identity, key });
  });

  test('by a manufacturer whose devices register themselves, but have to be approved', async () => {
    const acme = await makeManufacturer();
    const anchors = await makeAnchors(db, product, {
      certificates: [acme.rootPem],
      intermediates: [acme.intermediatePem],
      register: 'approval',
    });
    const own = await makeLabel(db, { authentication: ['manufacturer', 'certificate'], anchors: [anchors] });
    const identity = await acme.issue({ serialNumber: 'SN-77' });
    const registered = async () =>
      (await db.sql<{ id: string }>(`select device_id as id from device_identities where value = 'SN-77'`))[0]!.id;
    await waitsThenGets(registered, { label: own, identity, key: newKey() });
  });
});

test('a device that is revoked while it waits is refused, and nothing waits any more', async () => {
  const { device, enrollment } = await registerDevice(context, db.operator, { appId: product.appId });
  const asking = bySecret({ device, secret: enrollment.secret }, newKey());
  expectPending(await plane.ask(asking));
  const { seq } = await revokeDevice(context, db.operator, device.id, { reason: 'cessationOfOperation' });
  await plane.est.follower.catchUp(seq);
  expect((await plane.ask(asking)).status).toBeGreaterThanOrEqual(401);
  expect(await waitingOf(device.id)).toEqual([]);
});

test('a renewal of what was approved once asks nobody', async () => {
  const made = await makeDevice(db, product);
  const key = newKey();
  expectPending(await plane.ask(bySecret(made, key)));
  const [shown] = await waitingOf(made.device.id);
  await api.post(`/v1/approvals/${shown!.id}/approve`, {}, approver);
  const cert = toPem('CERTIFICATE', certificateOf(await plane.ask(bySecret(made, key))));
  const next = newKey();
  const renewed = await plane.ask({
    operation: 'simplereenroll',
    label,
    identity: { cert, key: key.pem },
    key: next,
    csr: csrOf(made.device, next),
  });
  expect(readCertificate(certificateOf(renewed)).publicKey.spki).toEqual(next.spki);
});
