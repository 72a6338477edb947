import { connect, type SecureVersion, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  createOrganization,
  createApp,
  registerDevice,
  removeFingerprint,
  resetDevice,
  revokeCertificate,
  revokeDevice,
  storeCrl,
  suspendDevice,
  addFingerprint,
  type AuthorityContext,
} from '#authority';
import { encodeAttribute, OID, readCertificate, readCertsOnly, der, toPem } from '#pki';
import { approveEnrollment } from '../../harness/approve-enrollment.js';
import { startTestDatabase, type TestDatabase } from '../../harness/database.js';
import { basic, csrOf, newKey, type DeviceKey } from '../../harness/device.js';
import { makeDevice, makeEnrolled, makeProduct, type Product } from '../../harness/fixtures.js';
import {
  inStep,
  makeAnchors,
  makeLabel,
  makeManufacturer,
  selfSignedIdentity,
  type ClientIdentity,
} from '../../harness/manufacturer.js';
import { httpsRequest, type HttpsAnswer } from '../https-request.js';
import { counts, newestRefusal, openEst, optionsOf, pathOf, plainCsr, type Asking, type EstPlane } from './plane.js';

interface Ra {
  identity: Pick<ClientIdentity, 'cert' | 'key'>;
  deviceId: string;
  serial: string;
}

let db: TestDatabase;
let api: AuthorityContext;
let plane: EstPlane;
let product: Product;
let label: string;
let ra: Ra;

beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  plane = await openEst(db);
  product = await makeProduct(api, db.operator);
  label = await makeLabel(db, { authentication: ['ra', 'certificate', 'secret'] });
  ra = await enrollRa(product);
});
afterAll(async () => {
  await plane?.close();
  await db?.stop();
});

const certificateOf = (answer: HttpsAnswer): Buffer => {
  expect({ status: answer.status, text: answer.status === 200 ? '' : answer.text }).toEqual({ status: 200, text: '' });
  return readCertsOnly(Buffer.from(answer.text, 'base64'))[0]!;
};

async function enrollRa({ appId }: Pick<Product, 'appId'>): Promise<Ra> {
  const { device, enrollment } = await registerDevice(api, db.operator, { appId, profile: 'ra' });
  const key = newKey();
  const headers = { authorization: basic(device.id, enrollment.secret) };
  const asking = { label: 'ra', key, csr: csrOf(device, key), headers };
  expect((await plane.ask(asking)).status).toBe(202);
  await approveEnrollment(db, device.id);
  const certificate = certificateOf(await plane.ask(asking));
  const { serial, eku } = readCertificate(certificate);
  expect(eku).toContain(OID.cmcRa);
  return { identity: { cert: toPem('CERTIFICATE', certificate), key: key.pem }, deviceId: device.id, serial };
}

async function expectRefused(asking: Asking, status: number, text: RegExp): Promise<void> {
  const [before, had] = [await newestRefusal(db), await counts(db)];
  const answer = await plane.ask({ label, ...asking });
  expect([answer.status, answer.text]).toEqual([status, expect.stringMatching(text)]);
  expect((await newestRefusal(db))?.id).toBeGreaterThan(before?.id ?? 0);
  expect(await counts(db)).toEqual(had);
}

const requesterOf = async (certificate: Buffer) =>
  (
    await db.sql<{ actor: string; superseded: Buffer | null; requester: string }>(
      `select a.actor, c.requester, c.superseded_by as superseded from audit a join certificates c
         on a.subject = 'certificate:' || encode(c.serial, 'hex')
       where a.action = 'certificate.requested' and c.serial = decode($1, 'hex')`,
      [readCertificate(certificate).serial],
    )
  )[0]!;

/** Says that it is linked to a connection, which is not this one. */
const linkedElsewhere = (device: { id: string; instanceId: string }, key: DeviceKey): Buffer =>
  csrOf(device, key, {
    attributes: [encodeAttribute(OID.challengePassword, der.utf8String(Buffer.alloc(32, 7).toString('base64')))],
  });

describe('a registration authority', () => {
  test('enrolls a registered device of its organizations, which it names by UUID or id (E48, E49)', async () => {
    for (const names of [{ subject: [] }, {}]) {
      const { device } = await makeDevice(db, product);
      const key = newKey();
      const certificate = certificateOf(
        await plane.ask({ label, identity: ra.identity, key, csr: csrOf(device, key, names) }),
      );
      expect(readCertificate(certificate).subject).toEqual([[{ type: OID.commonName, value: device.id }]]);
      expect(await requesterOf(certificate)).toMatchObject({
        actor: `ra:${ra.deviceId}`,
        requester: `ra:${ra.deviceId}`,
      });
    }
    const { device } = await makeDevice(db, product);
    const key = newKey();
    const csr = plainCsr(key, { subject: [[{ type: OID.commonName, value: device.id }]] });
    certificateOf(await plane.ask({ label, identity: ra.identity, key, csr }));
  });

  test('hands over a request that is linked to the connection of the device (E49)', async () => {
    const { device, secret } = await makeDevice(db, product);
    const key = newKey();
    const csr = linkedElsewhere(device, key);
    const headers = { authorization: basic(device.id, secret) };
    await expectRefused({ key, csr, headers }, 400, /Linking the request to its connection failed/);
    // Nor does a certificate that is no RA's.
    const other = await makeEnrolled(db, product);
    const identity = { cert: toPem('CERTIFICATE', other.certificate), key: other.key.pem };
    await expectRefused({ identity, key, csr, headers }, 400, /Linking the request to its connection failed/);
    certificateOf(await plane.ask({ label, identity: ra.identity, key, csr }));
  });

  test('renews the newest certificate of a device, once for the same request (E85, E91)', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    const key = newKey();
    const renew = () =>
      plane.ask({ operation: 'simplereenroll', label, identity: ra.identity, key, csr: csrOf(device, key) });
    const first = certificateOf(await renew());
    const { serial } = readCertificate(certificate);
    expect(await requesterOf(first)).toMatchObject({
      actor: `ra:${ra.deviceId}`,
      requester: `ra:${ra.deviceId}:${serial}`,
    });
    expect((await requesterOf(certificate)).superseded?.toString('hex')).toBe(readCertificate(first).serial);
    expect(certificateOf(await renew())).toEqual(first);
    const next = newKey();
    const second = certificateOf(
      await plane.ask({
        ...{ operation: 'simplereenroll', label, identity: ra.identity },
        ...{ key: next, csr: csrOf(device, next) },
      }),
    );
    expect((await requesterOf(second)).requester).toBe(`ra:${ra.deviceId}:${readCertificate(first).serial}`);
  });

  test('enrolls no device that has enrolled, until it is reset', async () => {
    const { device } = await makeEnrolled(db, product);
    const key = newKey();
    const asking = { identity: ra.identity, key, csr: csrOf(device, key) };
    await expectRefused(asking, 403, /enrolled already/);
    await resetDevice(api, db.operator, device.id);
    certificateOf(await plane.ask({ label, ...asking }));
  });
});

describe('it is refused', () => {
  test('for devices of others, like for none (EX16)', async () => {
    const { device } = await makeDevice(db);
    const key = newKey();
    const text = /^no such device of the organization of this registration authority\n$/;
    await expectRefused({ identity: ra.identity, key, csr: csrOf(device, key) }, 403, text);
    const absent = { id: device.id, instanceId: crypto.randomUUID() };
    await expectRefused({ identity: ra.identity, key, csr: csrOf(absent, key) }, 403, text);
    const { device: foreign } = await makeEnrolled(db);
    const renewal = { operation: 'simplereenroll', identity: ra.identity, key, csr: csrOf(foreign, key) } as const;
    await expectRefused(renewal, 403, text);
  });

  test('for devices of its vendor that another organization vouches for', async () => {
    const testing = await createOrganization(api, db.operator, { name: 'Tester', kind: 'testing' });
    const officer = { ...db.operator, organizationId: testing.id };
    const app = await createApp(api, officer, { name: 'Other app', vendorId: product.vendorId });
    const { device } = await registerDevice(api, officer, { appId: app.id });
    const key = newKey();
    await expectRefused({ identity: ra.identity, key, csr: csrOf(device, key) }, 403, /^no such device/);
  });

  test('where it names nobody, or a certificate that is not there to renew', async () => {
    await expectRefused({ identity: ra.identity }, 400, /must name its device/);
    const { device } = await makeDevice(db, product);
    const key = newKey();
    const renewal = { operation: 'simplereenroll', identity: ra.identity, key, csr: csrOf(device, key) } as const;
    await expectRefused(renewal, 403, /no certificate that could be renewed/);
  });

  test('where nobody presents a certificate (E85)', async () => {
    const { device } = await makeEnrolled(db, product);
    const key = newKey();
    const answer = await plane.ask({ operation: 'simplereenroll', label, key, csr: csrOf(device, key) });
    expect([answer.status, answer.headers['www-authenticate']]).toEqual([401, expect.stringMatching(/^Basic/)]);
    expect(answer.text).toMatch(/^re-enrollment needs .*current certificate in the TLS handshake\n$/);
  });

  test('where what it would renew is revoked (E85)', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    await revokeCertificate(api, db.operator, readCertificate(certificate).serial, { reason: 'superseded' });
    await inStep(db);
    const key = newKey();
    const renewal = { operation: 'simplereenroll', identity: ra.identity, key, csr: csrOf(device, key) } as const;
    await expectRefused(renewal, 403, /revoked/);
  });

  test('under a label that takes none, and for a device that is none (E49)', async () => {
    const { device } = await makeDevice(db, product);
    const key = newKey();
    const asking = { key, csr: csrOf(device, key) };
    expect((await plane.ask({ identity: ra.identity, ...asking })).status).toBe(401);
    const { certificate, key: own } = await makeEnrolled(db, product);
    const identity = { cert: toPem('CERTIFICATE', certificate), key: own.pem };
    await expectRefused({ identity, ...asking }, 403, /none that this label takes/);
    const renewal = { operation: 'simplereenroll', identity, ...asking } as const;
    await expectRefused(renewal, 400, /not that of the certificate being renewed/);
  });

  test('at once when it is revoked, and while it is suspended', async () => {
    const one = await enrollRa(product);
    const { device } = await makeDevice(db, product);
    const key = newKey();
    const asking = { identity: one.identity, key, csr: csrOf(device, key) };
    await suspendDevice(api, db.operator, one.deviceId);
    await expectRefused(asking, 403, /revoked|suspended/);
    const other = await enrollRa(product);
    await revokeCertificate(api, db.operator, other.serial, { reason: 'keyCompromise' });
    await expectRefused({ ...asking, identity: other.identity }, 403, /revoked/);
  });

  test('with the purpose of an RA under anchors of others: that gives nothing (E48)', async () => {
    const acme = await makeManufacturer();
    const set = await makeAnchors(db, product, { certificates: [acme.rootPem], intermediates: [acme.intermediatePem] });
    const both = await makeLabel(db, { authentication: ['ra', 'manufacturer'], anchors: [set] });
    const { device } = await makeDevice(db, product);
    const key = newKey();
    const identity = await acme.issue({ eku: [OID.clientAuth, OID.cmcRa] });
    await expectRefused({ label: both, identity, key, csr: csrOf(device, key) }, 403, /no device is registered/);
  });
});

/** Two requests, each on a session that was resumed; what happens between is the test's. */
async function resumed(
  version: SecureVersion,
  asking: Asking,
  between: () => Promise<unknown>,
): Promise<HttpsAnswer[]> {
  const { identity } = asking;
  const open = (session?: Buffer): TLSSocket =>
    connect({
      ...{ host: '127.0.0.1', port: Number(new URL(plane.base).port), rejectUnauthorized: false },
      ...{ minVersion: version, maxVersion: version, cert: identity?.cert, key: identity?.key, session },
    });
  const first = open();
  const [session] = (await once(first, 'session')) as [Buffer];
  first.destroy();
  const askOn = async (): Promise<HttpsAnswer> => {
    const socket = open(session);
    await once(socket, 'secureConnect');
    expect([socket.isSessionReused(), socket.getProtocol()]).toEqual([true, version]);
    const tls = { createConnection: () => socket, agent: undefined };
    return httpsRequest(plane.base, pathOf(asking), optionsOf({ ...asking, tls })).finally(() => socket.destroy());
  };
  const before = await askOn();
  await between();
  await inStep(db);
  return [before, await askOn()];
}

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('on a session resumed by %s, again is asked (E11)', (version) => {
  const statuses = (answers: HttpsAnswer[]) => answers.map(({ status }) => status);

  test("whether the device's own certificate is revoked", async () => {
    const { device, certificate, key } = await makeEnrolled(db, product);
    const identity = { cert: toPem('CERTIFICATE', certificate), key: key.pem };
    const asking = { operation: 'simplereenroll', label, identity, key, csr: csrOf(device, key) } as const;
    const { serial } = readCertificate(certificate);
    const revoke = () => revokeCertificate(api, db.operator, serial, { reason: 'superseded' });
    expect(statuses(await resumed(version, asking, revoke))).toEqual([200, 403]);
  });

  test('whether the device itself is suspended', async () => {
    const { device, certificate, key } = await makeEnrolled(db, product);
    const identity = { cert: toPem('CERTIFICATE', certificate), key: key.pem };
    const asking = { operation: 'simplereenroll', label, identity, key, csr: csrOf(device, key) } as const;
    expect(statuses(await resumed(version, asking, () => suspendDevice(api, db.operator, device.id)))).toEqual([
      200, 403,
    ]);
  });

  test('whether the manufacturer has revoked', async () => {
    const acme = await makeManufacturer();
    const set = await makeAnchors(db, product, {
      ...{ certificates: [acme.rootPem], register: 'automatic', revocation: 'crl', crlMaxAgeSeconds: 3600 },
    });
    const at = await makeLabel(db, { authentication: ['manufacturer'], anchors: [set] });
    const identity = await acme.issueByRoot();
    await storeCrl(api, db.operator, set, await acme.crl('root', { number: 1 }));
    await inStep(db);
    const key = newKey();
    const asking = { label: at, identity, key, csr: plainCsr(key) };
    const revoke = async () =>
      storeCrl(api, db.operator, set, await acme.crl('root', { number: 2, revoked: [identity.serial] }));
    expect(statuses(await resumed(version, asking, revoke))).toEqual([200, 403]);
  });

  test('whether the fingerprint is still registered', async () => {
    const at = await makeLabel(db, { authentication: ['fingerprint'] });
    const identity = await selfSignedIdentity();
    const { device } = await makeDevice(db, product);
    const value = readCertificate(identity.der).sha256.toString('hex');
    const { id } = await addFingerprint(api, db.operator, device.id, { kind: 'certificate', value });
    const key = newKey();
    const asking = { label: at, identity, key, csr: plainCsr(key) };
    const remove = () => removeFingerprint(api, db.operator, device.id, id);
    expect(statuses(await resumed(version, asking, remove))).toEqual([200, 403]);
  });

  test('whether the registration authority is one still', async () => {
    const one = await enrollRa(product);
    const { device } = await makeDevice(db, product);
    const key = newKey();
    const asking = { label, identity: one.identity, key, csr: csrOf(device, key) };
    const revoke = () => revokeDevice(api, db.operator, one.deviceId, { reason: 'superseded' });
    expect(statuses(await resumed(version, asking, revoke))).toEqual([200, 403]);
  });

  test('whether the certificate has expired', async () => {
    const at = await makeLabel(db, { authentication: ['fingerprint'] });
    const identity = await selfSignedIdentity({ notAfter: new Date(Date.now() + 3000) });
    const value = readCertificate(identity.der).sha256.toString('hex');
    await registerDevice(api, db.operator, { appId: product.appId, certificateFingerprint: value });
    const key = newKey();
    const asking = { label: at, identity, key, csr: plainCsr(key) };
    const { notAfter } = readCertificate(identity.der);
    const end = () => new Promise((resolve) => setTimeout(resolve, notAfter.getTime() + 1000 - Date.now()));
    expect(statuses(await resumed(version, asking, end))).toEqual([200, 403]);
  });
});
