import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createPrivateKey } from 'node:crypto';
import { revokeCertificate } from '#authority';
import { decodeBody } from '#est';
import { der, encodeAttribute, OID, readCertificate, signatureAlgorithm, signBytes } from '#pki';
import { control, crmfRequest, taggedPkcs10, type FullRequest } from '../../libs/est/src/testing/cmc-client.js';
import { approveEnrollment } from '../harness/approve-enrollment.js';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { csrOf, newKey, type DeviceKey } from '../harness/device.js';
import { makeDevice, makeEnrolled, makeProduct, type Product } from '../harness/fixtures.js';
import { makeManufacturer } from '../harness/manufacturer.js';
import { makeRa, type RegistrationAuthority } from '../harness/registration-authority.js';
import { decideLabel, startEstServer, type EstServer } from './est-server.js';
import { openFullAnswer, postFull, signedBy, type FullAnswer } from './full-answer.js';

let db: TestDatabase;
let server: EstServer;
let product: Product;
let ra: RegistrationAuthority;

beforeAll(async () => {
  db = await startTestDatabase();
  product = await makeProduct(await db.context('api'), db.operator);
  server = await startEstServer(db);
  const operations = ['fullcmc'] as ['fullcmc'];
  await decideLabel(db, 'gate', { profile: 'device', authentication: ['ra', 'certificate'], operations });
  await decideLabel(db, 'closed', { profile: 'device', authentication: ['certificate', 'secret'], operations });
  await decideLabel(db, 'asked', { profile: 'device', authentication: ['ra'], approval: true, operations });
  await decideLabel(db, 'ra', { operations });
  ra = await makeRa(db, product);
});
afterAll(async () => {
  await server.close();
  await db.stop();
});

type Signer = Pick<RegistrationAuthority, 'certificate' | 'key'>;
const ask = async (request: FullRequest, label = 'gate', by: Signer = ra): Promise<FullAnswer> =>
  openFullAnswer(await postFull(server, label, signedBy(by, request)));

type Named = { id: string; instanceId: string };
/** In CRMF, with a proof of possession or without. */
function crmf(id: number, { id: commonName, instanceId }: Named, key: DeviceKey, proved = true): Buffer {
  const csr = csrOf({ id: commonName, instanceId }, key);
  const [subject, extensions] = [subjectOf(csr), sanOf(instanceId)];
  const sign = (request: Buffer) => signBytes('ec-p256', key.privateKey, request);
  const prove = { algorithm: signatureAlgorithm('ec-p256').der, sign };
  return crmfRequest(id, { subject, spki: key.spki, extensions: [extensions] }, proved ? prove : undefined);
}
const subjectOf = (csr: Buffer): Buffer => {
  const at = csr.indexOf(Buffer.from([0x02, 0x01, 0x00])) + 3;
  return csr.subarray(at, at + 2 + (csr[at + 1] as number));
};
const sanOf = (instanceId: string): Buffer => {
  const uri = der.primitive(6, Buffer.from(`urn:uuid:${instanceId}`));
  return der.sequence(der.oid(OID.subjectAltName), der.octetString(der.sequence(uri)));
};

const requestOf = async (certificate: Buffer) => {
  const [row] = await db.sql<{ actor: string; requester: string; canonical: Buffer }>(
    `select a.actor, a.canonical, c.requester from audit a join certificates c
       on a.subject = 'certificate:' || encode(c.serial, 'hex')
     where a.action = 'certificate.requested' and c.serial = decode($1, 'hex')`,
    [readCertificate(certificate).serial],
  );
  const { detail } = JSON.parse(row!.canonical.toString('utf8')) as { detail: Record<string, unknown> };
  return { actor: row!.actor, requester: row!.requester, detail };
};
const certificatesOf = async (device: Named): Promise<number> =>
  (await db.sql(`select 1 from certificates where device_id = $1`, [device.id])).length;
const refusals = async (): Promise<number> =>
  (await db.sql(`select 1 from audit where action = 'certificate.requested' and outcome = 'refused'`)).length;

describe('a full request of a registration authority', () => {
  test('enrolls devices, by PKCS#10 and by CRMF, and again is the same (E48, E91, E131)', async () => {
    const [first, second] = [await makeDevice(db, product), await makeDevice(db, product)];
    const [key, other] = [newKey(), newKey()];
    const request = {
      requests: [taggedPkcs10(1, csrOf(first.device, key)), crmf(2, second.device, other)],
      controls: [control(3, OID.cmcRegInfo, der.octetString(Buffer.from('line 4')))],
    };
    const answer = await ask(request);
    expect(answer).toMatchObject({
      status: 200,
      statuses: [
        { status: 'success', bodyList: [1] },
        { status: 'success', bodyList: [2] },
      ],
    });
    const keys = answer.certificates.map((one) => readCertificate(one).publicKey.spki);
    // A set, in the order of its octets.
    expect(keys.sort(Buffer.compare)).toEqual([key.spki, other.spki].sort(Buffer.compare));
    // RFC 5272 section 4.2: with what leads to a root, once.
    const issuer = (await server.est.issuers.issuing()).certificate;
    expect(answer.issuers).toEqual([issuer]);
    for (const certificate of answer.certificates) {
      expect(await requestOf(certificate)).toMatchObject({
        actor: `ra:${ra.device.id}`,
        requester: `ra:${ra.device.id}`,
        detail: {
          authentication: 'ra',
          ra: ra.device.id,
          raCertificate: readCertificate(ra.certificate).serial,
        },
      });
    }
    expect((await ask(request)).certificates).toEqual(answer.certificates);
  });

  test('renews what a device has, once for the same request (E85, E91)', async () => {
    const { device, certificate } = await makeEnrolled(db, product);
    const request = { requests: [taggedPkcs10(1, csrOf(device, newKey()))] };
    const { certificates } = await ask(request);
    const { serial } = readCertificate(certificate);
    expect(await requestOf(certificates[0]!)).toMatchObject({ requester: `ra:${ra.device.id}:${serial}` });
    expect((await ask(request)).certificates).toEqual(certificates);
    expect(await certificatesOf(device)).toBe(2);
  });

  test('hands over what is linked to the connection of the device, which no device may (E49)', async () => {
    const linked = (device: Named) =>
      csrOf(device, newKey(), {
        attributes: [encodeAttribute(OID.challengePassword, der.utf8String(Buffer.alloc(32, 7).toString('base64')))],
      });
    const { device } = await makeDevice(db, product);
    expect((await ask({ requests: [taggedPkcs10(1, linked(device))] })).status).toBe(200);
    const enrolled = await makeEnrolled(db, product);
    const itself = await ask({ requests: [taggedPkcs10(1, linked(enrolled.device))] }, 'gate', enrolled);
    expect(itself).toMatchObject({ status: 400, statuses: [{ failInfo: 'popFailed' }] });
  });

  test('renews the certificate of the RA itself, which it names', async () => {
    const own = await makeRa(db, product);
    const request = { requests: [taggedPkcs10(1, csrOf(own.device, newKey()))] };
    const { status, certificates } = await ask(request, 'ra', own);
    expect(status).toBe(200);
    expect((await requestOf(certificates[0]!)).actor).toBe(`device:${own.device.id}`);
  });

  test('revokes and confirms its own certificate, and confirms what it has asked for; of a device it revokes nothing', async () => {
    const own = await makeRa(db, product);
    const { device } = await makeDevice(db, product);
    const { certificates } = await ask({ requests: [taggedPkcs10(1, csrOf(device, newKey()))] }, 'gate', own);
    const named = (certificate: Buffer): Buffer[] => {
      const { issuerDer, serial } = readCertificate(certificate);
      return [issuerDer, der.tagged(0x02, Buffer.from(serial, 'hex'))];
    };
    const revoke = (id: number, certificate: Buffer) =>
      control(id, OID.cmcRevokeRequest, der.sequence(...named(certificate), der.enumerated(1)));
    const confirm = (id: number, certificate: Buffer) =>
      control(id, OID.cmcConfirmCertAcceptance, der.sequence(...named(certificate)));
    const stranger = (await makeEnrolled(db, product)).certificate;
    const controls = [
      ...[revoke(1, certificates[0]!), revoke(2, own.certificate)],
      ...[confirm(3, certificates[0]!), confirm(4, own.certificate), confirm(5, stranger)],
    ];
    expect((await ask({ controls }, 'gate', own)).statuses).toMatchObject([
      { status: 'failed', failInfo: 'badCertId', bodyList: [1] },
      { status: 'success', bodyList: [2] },
      { status: 'success', bodyList: [3] },
      { status: 'success', bodyList: [4] },
      { status: 'failed', failInfo: 'badCertId', bodyList: [5] },
    ]);
    expect(server.est.follower.index.certificate(readCertificate(certificates[0]!).serial)?.status).not.toBe('revoked');
    expect((await ask({ controls }, 'gate', own)).status).toBe(403);
  });
});

describe('of a registration authority', () => {
  test('controls that only it may send are taken, and refused to a device', async () => {
    const controls = [
      control(5, '1.2.3', der.null()),
      control(6, OID.cmcControlProcessed, der.sequence(der.sequence(der.integer(5)))),
      control(7, OID.cmcRaIdentityWitness, der.sequence(der.integer(1))),
      control(8, OID.cmcLraPopWitness, der.sequence(der.integer(0), der.sequence(der.integer(1)))),
    ];
    const { device } = await makeDevice(db, product);
    const good = await ask({ requests: [taggedPkcs10(1, csrOf(device, newKey()))], controls });
    expect(good.statuses).toMatchObject([{ status: 'success', bodyList: [1] }]);
    const enrolled = await makeEnrolled(db, product);
    const renewal = { requests: [taggedPkcs10(1, csrOf(enrolled.device, newKey()))] };
    const of = async (...sent: typeof controls) =>
      (await ask({ ...renewal, controls: sent }, 'gate', enrolled)).statuses;
    expect(await of(...controls)).toMatchObject([{ failInfo: 'badRequest', bodyList: [5] }]);
    expect(await of(...controls.slice(1))).toMatchObject([{ failInfo: 'badRequest', bodyList: [6, 7, 8] }]);
    expect(await certificatesOf(enrolled.device)).toBe(1);
  });

  test('the word for possession is not enough: popFailed for what it vouches for, popRequired for the rest', async () => {
    const [one, two] = [await makeDevice(db, product), await makeDevice(db, product)];
    const requests = [crmf(1, one.device, newKey(), false), crmf(2, two.device, newKey(), false)];
    const vouched = control(3, OID.cmcLraPopWitness, der.sequence(der.integer(0), der.sequence(der.integer(1))));
    expect(await ask({ requests, controls: [vouched] })).toMatchObject({
      status: 400,
      statuses: [
        { status: 'failed', failInfo: 'popFailed', bodyList: [1] },
        { status: 'failed', failInfo: 'popRequired', bodyList: [2] },
      ],
    });
    const astray = control(3, OID.cmcLraPopWitness, der.sequence(der.integer(0), der.sequence(der.integer(9))));
    expect((await ask({ requests, controls: [astray] })).statuses).toMatchObject([
      { failInfo: 'badRequest', bodyList: [3] },
    ]);
  });

  test('what waits for approval is asked after by it alone (E87)', async () => {
    const { device } = await makeDevice(db, product);
    const key = newKey();
    const first = await ask({ requests: [taggedPkcs10(7, csrOf(device, key))] }, 'asked');
    expect(first).toMatchObject({ status: 202, statuses: [{ status: 'pending', bodyList: [7] }] });
    const { token } = first.statuses[0]!.pending!;
    const query = { controls: [control(1, OID.cmcQueryPending, der.octetString(token))] };
    expect(await ask(query, 'asked')).toMatchObject({
      status: 202,
      retryAfter: expect.stringMatching(/^[1-9]\d+$/),
      statuses: [{ status: 'pending', bodyList: [1], pending: undefined }],
    });
    const another = await makeRa(db, product);
    expect(await ask(query, 'asked', another)).toMatchObject({ status: 400, statuses: [{ failInfo: 'badRequest' }] });
    await approveEnrollment(db, device.id);
    expect((await ask(query, 'asked', another)).certificates).toEqual([]);
    const done = await ask(query, 'asked');
    expect(done).toMatchObject({ status: 200, statuses: [{ status: 'success', bodyList: [1] }] });
    expect(readCertificate(done.certificates[0]!).publicKey.spki).toEqual(key.spki);
    expect((await ask(query, 'asked')).certificates).toEqual(done.certificates);
    expect(await requestOf(done.certificates[0]!)).toMatchObject({ requester: `ra:${ra.device.id}` });
  });

  test.each<[string, () => Promise<FullAnswer>, string]>([
    [
      'a device of another organization',
      async () => {
        const { device } = await makeDevice(db);
        return ask({ requests: [taggedPkcs10(1, csrOf(device, newKey()))] });
      },
      'badIdentity',
    ],
    [
      'a label that takes no RA',
      async () => {
        const { device } = await makeDevice(db, product);
        return ask({ requests: [taggedPkcs10(1, csrOf(device, newKey()))] }, 'closed');
      },
      'badIdentity',
    ],
    [
      'a certificate that is revoked',
      async () => {
        const gone = await makeRa(db, product);
        const { serial } = readCertificate(gone.certificate);
        await revokeCertificate(await db.context('api'), db.operator, serial, { reason: 'keyCompromise' });
        const { device } = await makeDevice(db, product);
        return ask({ requests: [taggedPkcs10(1, csrOf(device, newKey()))] }, 'gate', gone);
      },
      'badIdentity',
    ],
    [
      'the purpose of an RA in a certificate of others',
      async () => {
        const made = await (await makeManufacturer()).issue({ eku: [OID.clientAuth, OID.cmcRa] });
        const { device } = await makeDevice(db, product);
        const by = { certificate: made.der, key: { ...newKey(), privateKey: createPrivateKey(made.key) } };
        return ask({ requests: [taggedPkcs10(1, csrOf(device, newKey()))] }, 'gate', by);
      },
      'badIdentity',
    ],
  ])('%s is refused, audited, nothing issued (E48)', async (_, attempt, failInfo) => {
    const before = await refusals();
    const answer = await attempt();
    expect(answer.statuses).toMatchObject([{ status: 'failed', failInfo }]);
    expect([answer.status, answer.certificates]).toEqual([expect.any(Number), []]);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(await refusals()).toBeGreaterThan(before);
  });

  test('a dozen devices are enrolled by one request', async () => {
    const devices = await Promise.all(Array.from({ length: 12 }, () => makeDevice(db, product)));
    const requests = devices.map(({ device }, at) => taggedPkcs10(at + 1, csrOf(device, newKey())));
    const answer = await postFull(server, 'gate', signedBy(ra, { requests }));
    expect(decodeBody(answer.body).length).toBeGreaterThan(6_000);
    expect((await openFullAnswer(answer)).statuses.filter(({ status }) => status === 'success')).toHaveLength(12);
  });
});
