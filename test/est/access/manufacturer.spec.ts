import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  currentLabel,
  registerDevice,
  resetDevice,
  revokeDevice,
  storeCrl,
  suspendDevice,
  type AuthorityContext,
  type EstRequest,
} from '#authority';
import { isAuthorityError } from '#kernel';
import { der, encodeGeneralNames, fromPem, OID, readCertificate, readCertsOnly, readCsr } from '#pki';
import { startTestDatabase, type TestDatabase } from '../../harness/database.js';
import { basic, newKey } from '../../harness/device.js';
import { enroll, makeDevice, makeProduct, presents, type Product } from '../../harness/fixtures.js';
import {
  inStep,
  makeAnchors,
  makeLabel,
  makeManufacturer,
  type ClientIdentity,
  type Manufacturer,
} from '../../harness/manufacturer.js';
import type { HttpsAnswer } from '../https-request.js';
import { counts, newestRefusal, openEst, plainCsr, type Asking, type EstPlane } from './plane.js';

let db: TestDatabase;
let api: AuthorityContext;
let plane: EstPlane;
let product: Product;
let acme: Manufacturer;
/** Takes devices that were registered, those that register themselves, and those with CRLs. */
let known: { set: string; label: string };
let open: { set: string; label: string };
let watched: { set: string; label: string };

beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  plane = await openEst(db);
  product = await makeProduct(api, db.operator);
  acme = await makeManufacturer();
  const chain = { certificates: [acme.rootPem], intermediates: [acme.intermediatePem] };
  const labelled = async (wishes: Parameters<typeof makeAnchors>[2]) => {
    const set = await makeAnchors(db, product, { ...chain, ...wishes });
    const authentication = ['manufacturer', 'certificate', 'secret'] as const;
    return { set, label: await makeLabel(db, { authentication, anchors: [set] }) };
  };
  known = await labelled({});
  open = await labelled({ register: 'automatic' });
  watched = await labelled({ register: 'automatic', revocation: 'crl', crlMaxAgeSeconds: 3600 });
});
afterAll(async () => {
  await plane?.close();
  await db?.stop();
});

const certificateOf = (answer: HttpsAnswer) => {
  expect({ status: answer.status, text: answer.status === 200 ? '' : answer.text }).toEqual({ status: 200, text: '' });
  return readCertificate(readCertsOnly(Buffer.from(answer.text, 'base64'))[0]!);
};

/** The answer, its text, an audit entry of the try that names the certificate, and nothing else. */
async function expectRefused(asking: Asking, status: number, text: RegExp): Promise<void> {
  const [before, had] = [await newestRefusal(db), await counts(db)];
  const answer = await plane.ask(asking);
  expect({ status: answer.status, text: answer.text }).toEqual({ status, text: expect.stringMatching(text) });
  expect(answer.text).toMatch(/^[^\n]+\n$/);
  const after = await newestRefusal(db);
  expect(after?.id).toBeGreaterThan(before?.id ?? 0);
  expect(after?.detail).toMatchObject({ operation: 'simpleenroll', label: asking.label });
  if (asking.identity) expect(after?.detail['certificateSha256']).toMatch(/^[0-9a-f]{64}$/);
  expect(await counts(db)).toEqual(had);
}

async function register(id: string): Promise<{ id: string; instanceId: string; secret: string }> {
  const { device, enrollment } = await registerDevice(api, db.operator, {
    appId: product.appId,
    manufacturerId: { anchors: known.set, id },
  });
  return { ...device, secret: enrollment.secret };
}

const requestOf = async (certificate: { serial: string }) => {
  const [row] = await db.sql<{ actor: string; canonical: Buffer }>(
    `select actor, canonical from audit where action = 'certificate.requested' and outcome = 'success' and subject = $1`,
    [`certificate:${certificate.serial}`],
  );
  return { actor: row!.actor, ...(JSON.parse(row!.canonical.toString('utf8')) as { detail: Record<string, unknown> }) };
};

describe('a device that was registered with its manufacturer certificate', () => {
  test('gets its first certificate by it; which anchor vouched is kept (E40, E41, E42)', async () => {
    const device = await register('SN-1000');
    const identity = await acme.issue({ serialNumber: 'SN-1000' });
    const certificate = certificateOf(await plane.ask({ label: known.label, identity }));
    expect(certificate.subject).toEqual([[{ type: OID.commonName, value: device.id }]]);
    expect(certificate.san).toEqual([{ type: 'uri', value: `urn:uuid:${device.instanceId}` }]);
    const { actor, detail } = await requestOf(certificate);
    expect(actor).toBe(`device:${device.id}`);
    const anchor = readCertificate(fromPem(acme.rootPem)[0]!).sha256.toString('hex');
    expect(detail).toMatchObject({ authentication: 'manufacturer', anchors: known.set, anchor, identity: 'SN-1000' });
  });

  test('without the cookies and sessions of browsers (E46)', async () => {
    await register('SN-1001');
    const answer = await plane.ask({ label: known.label, identity: await acme.issue({ serialNumber: 'SN-1001' }) });
    expect(answer.status).toBe(200);
    expect(answer.headers['set-cookie']).toBeUndefined();
  });

  test('may name itself as its manufacturer does, and never ends (IEEE 802.1AR)', async () => {
    await register('SN-1002');
    const identity = await acme.issue({ serialNumber: 'SN-1002', notAfter: new Date('9999-12-31T23:59:59Z') });
    const { subject } = readCertificate(identity.der);
    const key = newKey();
    const csr = plainCsr(key, { subject });
    const { subject: given } = certificateOf(await plane.ask({ label: known.label, identity, key, csr }));
    expect(given).not.toEqual(subject);
  });

  test('gets the same certificate again for the same request, and one for several at once (E91)', async () => {
    await register('SN-1003');
    const identity = await acme.issue({ serialNumber: 'SN-1003' });
    const key = newKey();
    const all = await Promise.all(
      Array.from({ length: 4 }, () => plane.ask({ label: known.label, identity, key, csr: plainCsr(key) })),
    );
    const serials = new Set(all.map((answer) => certificateOf(answer).serial));
    expect(serials.size).toBe(1);
    const again = await plane.ask({ label: known.label, identity, key, csr: plainCsr(key) });
    expect(serials).toContain(certificateOf(again).serial);
  });

  test('does not take itself over: after the first certificate only a reset grants another, to one of the ways', async () => {
    const device = await register('SN-1004');
    const identity = await acme.issue({ serialNumber: 'SN-1004' });
    certificateOf(await plane.ask({ label: known.label, identity }));
    await expectRefused({ label: known.label, identity }, 403, /^the device has enrolled already: renew/);
    // What was granted is used up, the secret too.
    const headers = { authorization: basic(device.id, device.secret) };
    expect((await plane.ask({ label: known.label, headers })).status).toBe(401);
    const { enrollment } = await resetDevice(api, db.operator, device.id);
    certificateOf(await plane.ask({ label: known.label, identity }));
    const late = { authorization: basic(device.id, enrollment.secret) };
    expect((await plane.ask({ label: known.label, headers: late })).status).toBe(401);
  });

  test('that enrolled by its secret does not enroll by its manufacturer as well', async () => {
    const device = await register('SN-1005');
    const headers = { authorization: basic(device.id, device.secret) };
    certificateOf(await plane.ask({ label: known.label, headers }));
    const identity = await acme.issue({ serialNumber: 'SN-1005' });
    await expectRefused({ label: known.label, identity }, 403, /^the device has enrolled already/);
  });

  test('enrolls by the strongest way that is accepted, and by a secret where its certificate is not', async () => {
    const device = await register('SN-1006');
    const expired = await acme.issue({ serialNumber: 'SN-1006', notAfter: new Date(Date.now() - 1000) });
    const headers = { authorization: basic(device.id, device.secret) };
    const { detail } = await requestOf(
      certificateOf(await plane.ask({ label: known.label, identity: expired, headers })),
    );
    expect(detail['authentication']).toBeUndefined();
    const other = await register('SN-1007');
    const identity = await acme.issue({ serialNumber: 'SN-1007' });
    const both = { authorization: basic(other.id, other.secret) };
    const chosen = await requestOf(certificateOf(await plane.ask({ label: known.label, identity, headers: both })));
    expect(chosen.detail['authentication']).toBe('manufacturer');
  });

  test('is known by one certificate name only, of whoever asks', async () => {
    await register('SN-1008');
    const taken = register('SN-1008');
    await expect(taken).rejects.toMatchObject({ kind: 'conflict', code: 'identityTaken', member: 'manufacturerId' });
    const foreign = await makeProduct(api, db.operator);
    const elsewhere = registerDevice(api, db.operator, {
      appId: foreign.appId,
      manufacturerId: { anchors: known.set, id: 'SN-1009' },
    });
    await expect(elsewhere).rejects.toMatchObject({ kind: 'invalid', member: 'manufacturerId' });
  });
});

describe('a manufacturer certificate is refused', () => {
  let device: Awaited<ReturnType<typeof register>>;
  let other: Manufacturer;
  beforeAll(async () => {
    device = await register('SN-2000');
    other = await makeManufacturer();
  });
  const refusal = (identity: ClientIdentity, text: RegExp, label = known.label) =>
    expectRefused({ label, identity }, 403, text);

  test('of an unknown issuer (EX15)', async () => {
    await refusal(await other.issue({ serialNumber: 'SN-2000' }), /not accepted: No path leads/);
  });

  test('that has expired, or is not valid yet (EX15)', async () => {
    const past = await acme.issue({ serialNumber: 'SN-2000', notAfter: new Date(Date.now() - 1000) });
    await refusal(past, /has expired/);
    const future = await acme.issue({ serialNumber: 'SN-2000', notBefore: new Date(Date.now() + 60_000) });
    await refusal(future, /valid from/);
  });

  test('whose purposes are others, also that of an RA (EX15, E48)', async () => {
    await refusal(await acme.issue({ serialNumber: 'SN-2000', eku: [OID.serverAuth] }), /not meant for purpose/);
    await refusal(await acme.issue({ serialNumber: 'SN-2000', eku: [OID.cmcRa] }), /not meant for purpose/);
    const keyUsage = x509.KeyUsageFlags.keyEncipherment;
    await refusal(await acme.issue({ serialNumber: 'SN-2000', keyUsage }), /not meant for a device/);
  });

  test('that is an authority itself', async () => {
    const identity = await acme.issueByRoot({
      ...{ serialNumber: 'SN-2000', ca: true },
      keyUsage: x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyCertSign,
    });
    await refusal(identity, /not meant for a device/);
  });

  test('of nobody who is registered (EX16)', async () => {
    await refusal(await acme.issue({ serialNumber: 'SN-2001' }), /no device is registered/);
  });

  test('that names no device, or two', async () => {
    await refusal(await acme.issue({ serialNumber: null }), /names its device by no single serialNumber/);
  });

  test('for names of another device (EX18)', async () => {
    const one = await makeDevice(db, product);
    const identity = await acme.issue({ serialNumber: 'SN-2000' });
    const key = newKey();
    const csr = plainCsr(key, { san: [{ type: 'uri', value: `urn:uuid:${one.device.instanceId}` }] });
    await expectRefused({ label: known.label, identity, key, csr }, 403, /not of this device/);
  });

  test('under a label that takes another set, and under the default one, which takes none', async () => {
    const set = await makeAnchors(db, product, {
      certificates: [other.rootPem],
      intermediates: [other.intermediatePem],
    });
    const label = await makeLabel(db, { authentication: ['manufacturer'], anchors: [set] });
    const identity = await acme.issue({ serialNumber: 'SN-2000' });
    await refusal(identity, /No path leads/, label);
    expect((await plane.ask({ identity })).status).toBe(401);
  });

  test('for a renewal: what we issue renews itself (E85)', async () => {
    const identity = await acme.issue({ serialNumber: 'SN-2000' });
    const answer = await plane.ask({ operation: 'simplereenroll', label: known.label, identity });
    expect([answer.status, answer.text]).toEqual([403, expect.stringMatching(/not accepted: No path/)]);
  });

  test('while the device is suspended, and for ever once it is revoked', async () => {
    const identity = await acme.issue({ serialNumber: 'SN-2000' });
    await suspendDevice(api, db.operator, device.id);
    await refusal(identity, /suspended/);
    await revokeDevice(api, db.operator, device.id, { reason: 'cessationOfOperation' });
    await refusal(identity, /the device is revoked/);
  });

  test('where nothing is presented: what the label takes is said, and the challenge (EX11, E43)', async () => {
    const answer = await plane.ask({ label: known.label });
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toMatch(/^Basic realm=/);
    expect(answer.text).toBe(
      "send the device's certificate of its manufacturer in the TLS handshake, or device id and one-time secret by HTTP Basic\n",
    );
  });

  test('by a row that SQL planted, or moved to another device', async () => {
    const victim = await register('SN-2100');
    const own = await register('SN-2101');
    await db.tamper(`update device_identities set device_id = $1 where value = 'SN-2101'`, [victim.id]);
    const answer = await plane.ask({ label: known.label, identity: await acme.issue({ serialNumber: 'SN-2101' }) });
    expect(answer.status).toBe(500);
    await db.tamper(`update device_identities set device_id = $1 where value = 'SN-2101'`, [own.id]);
  });
});

describe('a device that registers itself', () => {
  test('is made with its certificate, under the app of the set, and stays that device', async () => {
    const identity = await acme.issue({ serialNumber: 'SN-3000' });
    const certificate = certificateOf(await plane.ask({ label: open.label, identity }));
    const [device] = await db.sql<{ id: string; app_id: string; instance_id: string; status: string }>(
      `select d.* from devices d join device_identities i on i.device_id = d.id where i.value = 'SN-3000'`,
    );
    expect(device).toMatchObject({ app_id: product.appId, status: 'enrolled' });
    // The UUID comes of set and identity: version 8, variant 10.
    expect(device?.instance_id).toMatch(/^.{14}8.{4}[89ab]/);
    expect(certificate.san).toEqual([{ type: 'uri', value: `urn:uuid:${device?.instance_id}` }]);
    await resetDevice(api, db.operator, device!.id);
    certificateOf(await plane.ask({ label: open.label, identity: await acme.issue({ serialNumber: 'SN-3000' }) }));
    const [row] = await db.sql<{ n: number }>(
      `select count(*)::int as n from device_identities where value = 'SN-3000'`,
    );
    expect(row?.n).toBe(1);
  });

  test('may claim a UUID that nobody has, and no other', async () => {
    const key = newKey();
    const instanceId = crypto.randomUUID();
    const csr = plainCsr(key, { san: [{ type: 'uri', value: `urn:uuid:${instanceId}` }] });
    const identity = await acme.issue({ serialNumber: 'SN-3001' });
    const { san } = certificateOf(await plane.ask({ label: open.label, identity, key, csr }));
    expect(san).toEqual([{ type: 'uri', value: `urn:uuid:${instanceId}` }]);
    const second = await acme.issue({ serialNumber: 'SN-3002' });
    await expectRefused({ label: open.label, identity: second, key, csr }, 409, /taken/);
  });

  test('is no device when its request is refused', async () => {
    const key = newKey();
    const csr = plainCsr(key, { san: [{ type: 'dns', value: 'example.com' }] });
    const identity = await acme.issue({ serialNumber: 'SN-3003' });
    await expectRefused({ label: open.label, identity, key, csr }, 403, /not of this device/);
  });

  test('is one device, however many requests come at once', async () => {
    const identity = await acme.issue({ serialNumber: 'SN-3004' });
    const key = newKey();
    const all = await Promise.all(
      Array.from({ length: 4 }, () => plane.ask({ label: open.label, identity, key, csr: plainCsr(key) })),
    );
    expect(new Set(all.map((answer) => certificateOf(answer).serial)).size).toBe(1);
  });

  test('waits where too many do so in a minute', async () => {
    const chain = { certificates: [acme.rootPem], intermediates: [acme.intermediatePem] };
    const set = await makeAnchors(db, product, { ...chain, register: 'automatic', registersPerMinute: 1 });
    const label = await makeLabel(db, { authentication: ['manufacturer'], anchors: [set] });
    certificateOf(await plane.ask({ label, identity: await acme.issue() }));
    const answer = await plane.ask({ label, identity: await acme.issue() });
    expect([answer.status, answer.headers['retry-after']]).toEqual([429, '60']);
  });

  test.each([
    ['hardwareModuleName', 'SN-3100', '1.3.6.1.4.1.99999.1:0a0b0c'],
    ['commonName', 'SN-3101', 'Camera 7'],
    ['key', 'SN-3102', /^[0-9a-f]{64}$/],
  ] as const)('is known by its %s where the set says so', async (identity, serialNumber, value) => {
    const chain = { certificates: [acme.rootPem], intermediates: [acme.intermediatePem] };
    const set = await makeAnchors(db, product, { ...chain, register: 'automatic', identity });
    const label = await makeLabel(db, { authentication: ['manufacturer'], anchors: [set] });
    const module = der.sequence(der.oid('1.3.6.1.4.1.99999.1'), der.octetString(Buffer.from('0a0b0c', 'hex')));
    const san = encodeGeneralNames([{ type: 'other', oid: OID.hardwareModuleName, value: module }]);
    const extensions = [new x509.Extension(OID.subjectAltName, false, san)];
    const presented = await acme.issue({ serialNumber, commonName: 'Camera 7', extensions });
    certificateOf(await plane.ask({ label, identity: presented }));
    const [row] = await db.sql<{ value: string }>(`select value from device_identities where anchors = $1`, [set]);
    expect(row?.value).toEqual(typeof value === 'string' ? value : expect.stringMatching(value));
  });
});

describe('the CRLs of a manufacturer', () => {
  const bring = async (of: 'root' | 'intermediate', facts: Parameters<Manufacturer['crl']>[1]) => {
    await storeCrl(api, db.operator, watched.set, await acme.crl(of, facts));
    await inStep(db);
  };
  const refusedCrl = (crl: Buffer, set = watched.set) =>
    storeCrl(api, db.operator, set, crl).then(
      () => 'stored',
      (error: unknown) => (isAuthorityError(error) ? error.detail : String(error)),
    );

  test('must be there, of each authority on the path: nobody is let in before', async () => {
    const identity = await acme.issue();
    await expectRefused({ label: watched.label, identity }, 403, /revoked is not known/);
    await bring('intermediate', { number: 1 });
    await expectRefused({ label: watched.label, identity }, 403, /revoked is not known/);
    await bring('root', { number: 1 });
    certificateOf(await plane.ask({ label: watched.label, identity }));
  });

  test('say who is revoked, from the moment they are brought (EX15)', async () => {
    const identity = await acme.issue();
    await bring('intermediate', { number: 2, revoked: [identity.serial] });
    await expectRefused({ label: watched.label, identity }, 403, /is revoked/);
    certificateOf(await plane.ask({ label: watched.label, identity: await acme.issue() }));
  });

  test('are taken only whole, signed by the set, of now, and not older than the last', async () => {
    const other = await makeManufacturer();
    expect(await refusedCrl(await other.crl('root', { number: 9 }))).toMatch(/not signed by an authority/);
    expect(await refusedCrl(await acme.crl('intermediate', { number: 1 }))).toMatch(/higher number/);
    const past = new Date(Date.now() - 7_200_000);
    expect(await refusedCrl(await acme.crl('root', { number: 9, thisUpdate: past, nextUpdate: past }))).toMatch(
      /of now/,
    );
    expect(await refusedCrl(await acme.crl('root', { number: 9 }), known.set)).toMatch(/no CRLs/);
  });

  test('count no longer than the set says', async () => {
    await bring('root', { number: 3, thisUpdate: new Date(Date.now() - 7_200_000) });
    await expectRefused({ label: watched.label, identity: await acme.issue() }, 403, /revoked is not known/);
    await bring('root', { number: 4 });
  });

  test('taken away, or put back to an older one, by SQL let nobody in', async () => {
    const identity = await acme.issue();
    await bring('intermediate', { number: 5 });
    const [older] = await db.sql<{ crl: Buffer }>(`select crl from anchor_crls order by created_at desc limit 1`);
    await bring('intermediate', { number: 6, revoked: [identity.serial] });
    const newest = `sha256 = (select sha256 from anchor_crls order by created_at desc limit 1)`;
    // Each a process that has read none yet.
    const attempt = () => enroll({ ...plane.est }, byCertificate(identity));
    await db.tamper(`update anchor_crls set crl = $1 where ${newest}`, [older!.crl]);
    await expect(attempt()).rejects.toMatchObject({ code: 'revocationUnknown' });
    await db.tamper(`delete from anchor_crls where ${newest}`);
    await expect(attempt()).rejects.toMatchObject({ code: 'revocationUnknown' });
  });

  const byCertificate = (identity: ClientIdentity): EstRequest => ({
    operation: 'simpleenroll',
    label: currentLabel(plane.est, watched.label)!,
    csr: readCsr(plainCsr(newKey())),
    presented: presents({ peerCertificate: () => identity.der }),
    address: '192.0.2.1',
    requestId: 'test',
  });
});
