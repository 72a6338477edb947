import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { currentLabel, rejectPending, resetDevice, suspendDevice } from '#authority';
import { cmcSharedSecret, parseCredential, verifierHash } from '#credential';
import {
  der,
  encodeAttribute,
  encodeCsrInfo,
  OID,
  readCertificate,
  readPublicKey,
  signatureAlgorithm,
  signBytes,
} from '#pki';
import {
  control,
  crmfRequest,
  encodePkiData,
  identityProof,
  popLink,
  signByNewKey,
  taggedPkcs10,
  type FullRequest,
} from '../../libs/est/src/testing/cmc-client.js';
import { approveEnrollment } from '../harness/approve-enrollment.js';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { basic, csrOf, newKey, type DeviceKey } from '../harness/device.js';
import { makeDevice, makeEnrolled, makeProduct, type Product, type TestDevice } from '../harness/fixtures.js';
import { decidersOf } from '../harness/manufacturer.js';
import { decideLabel, startEstServer, type EstServer } from './est-server.js';
import { openFullAnswer, postFull, signedBy, type FullAnswer } from './full-answer.js';

let db: TestDatabase;
let server: EstServer;
let product: Product;

beforeAll(async () => {
  db = await startTestDatabase();
  product = await makeProduct(await db.context('api'), db.operator);
  server = await startEstServer(db);
  await decideLabel(db, 'cmc', { profile: 'device', operations: ['fullcmc'] });
  await decideLabel(db, 'asked', { profile: 'device', approval: true, operations: ['fullcmc'] });
});
afterAll(async () => {
  await server.close();
  await db.stop();
});

const certificatesOf = async (device: { id: string }): Promise<number> =>
  (await db.sql(`select 1 from certificates where device_id = $1`, [device.id])).length;
const refusals = async (): Promise<number> =>
  (await db.sql(`select 1 from audit where action = 'certificate.requested' and outcome = 'refused'`)).length;

const shared = ({ secret }: TestDevice): { id: string; secret: string } => {
  const credential = parseCredential(secret)!;
  return { id: credential.id, secret: cmcSharedSecret(verifierHash(credential)) };
};

/** A first request of a device that knows its secret, signed with the key that it asks for. */
function firstRequest(
  made: TestDevice,
  key: DeviceKey,
  requests: Buffer[],
  more: FullRequest['controls'] = [],
): Buffer {
  const { id, secret } = shared(made);
  const controls = [
    control(90, OID.cmcIdentification, der.utf8String(id)),
    identityProof(91, secret, id, requests),
    ...more,
  ];
  return signByNewKey(encodePkiData({ requests, controls }), key);
}

const send = async (label: string, message: Buffer): Promise<FullAnswer> =>
  openFullAnswer(await postFull(server, label, message));
const query = (token: Buffer, key: DeviceKey): Buffer =>
  signByNewKey(encodePkiData({ controls: [control(1, OID.cmcQueryPending, der.octetString(token))] }), key);

describe('a query for what waits', () => {
  async function waiting(): Promise<{ made: TestDevice; key: DeviceKey; token: Buffer }> {
    const made = await makeDevice(db, product);
    const key = newKey();
    const answer = await send('asked', firstRequest(made, key, [taggedPkcs10(7, csrOf(made.device, key))]));
    expect(answer).toMatchObject({ status: 202, statuses: [{ status: 'pending', bodyList: [7] }] });
    return { made, key, token: answer.statuses[0]!.pending!.token };
  }
  const refused = { status: 400, certificates: [], statuses: [{ status: 'failed', failInfo: 'badRequest' }] };

  test('is answered by the key that was asked for: still waiting, then the certificate, as often as it is asked (E87, E88)', async () => {
    const { made, key, token } = await waiting();
    const still = await send('asked', query(token, key));
    expect(still).toMatchObject({
      status: 202,
      retryAfter: expect.stringMatching(/^[1-9]\d+$/),
      // RFC 5272 section 6.13: pendInfo would have to be that of the first answer.
      statuses: [{ status: 'pending', bodyList: [1], pending: undefined }],
    });
    await approveEnrollment(db, made.device.id);
    const done = await send('asked', query(token, key));
    expect(done).toMatchObject({ status: 200, statuses: [{ status: 'success', bodyList: [1] }] });
    expect(readCertificate(done.certificates[0]!).publicKey.spki).toEqual(key.spki);
    expect((await send('asked', query(token, key))).certificates).toEqual(done.certificates);
    expect(await certificatesOf(made.device)).toBe(1);
    await suspendDevice(await db.context('api'), db.operator, made.device.id);
    expect(await send('asked', query(token, key))).toMatchObject({ status: 403, certificates: [] });
  });

  test('by anybody else, under another token or at another label is refused alike, audited, and nothing is issued', async () => {
    const { made, key, token } = await waiting();
    await approveEnrollment(db, made.device.id);
    const stranger = await makeEnrolled(db, product);
    const unknown = Buffer.from('00000000-0000-7000-8000-000000000000');
    const controls = [control(1, OID.cmcQueryPending, der.octetString(token))];
    const tries: [string, Buffer][] = [
      ['asked', query(token, newKey())],
      ['asked', query(unknown, key)],
      ['asked', query(Buffer.from('no token'), key)],
      ['cmc', query(token, key)],
      ['asked', signedBy(stranger, { controls })],
    ];
    const texts = new Set<string | undefined>();
    for (const [label, message] of tries) {
      const before = await refusals();
      const answer = await send(label, message);
      expect(answer).toMatchObject(refused);
      texts.add(answer.statuses[0]!.text);
      expect(await refusals()).toBeGreaterThan(before);
    }
    expect(texts.size).toBe(1);
    expect(await certificatesOf(made.device)).toBe(0);
  });

  test('comes to nothing under a label that takes no secrets any more', async () => {
    const { made, key, token } = await waiting();
    await approveEnrollment(db, made.device.id);
    const label = currentLabel(server.est, 'asked');
    await decideLabel(db, 'asked', { authentication: ['certificate'] });
    expect(await send('asked', query(token, key))).toMatchObject(refused);
    expect(await certificatesOf(made.device)).toBe(0);
    await decideLabel(db, 'asked', { authentication: [...(label?.authentication ?? [])] });
    expect(await send('asked', query(token, key))).toMatchObject({ status: 200 });
  });

  test('tells the reason of a rejection, and that a reset has ended it (E89)', async () => {
    const [first, second] = [await waiting(), await waiting()];
    const api = await db.context('api');
    const [row] = await db.sql<{ id: string }>(`select id from pending_enrollments where device_id = $1`, [
      first.made.device.id,
    ]);
    await rejectPending(api, (await decidersOf(db)).approver, row!.id, { reason: 'not ours' });
    expect(await send('asked', query(first.token, first.key))).toMatchObject({
      status: 403,
      statuses: [{ failInfo: 'badIdentity', text: 'the enrollment was rejected: not ours' }],
    });
    await resetDevice(api, db.operator, second.made.device.id);
    expect(await send('asked', query(second.token, second.key))).toMatchObject({
      ...refused,
      statuses: [{ text: 'what waited under this token has ended: send the request itself again' }],
    });
  });

  test('of a row that SQL has approved is answered by no certificate', async () => {
    const { made, key, token } = await waiting();
    await db.tamper(`update pending_enrollments set state = 'approved' where device_id = $1`, [made.device.id]);
    const answer = await send('asked', query(token, key));
    expect(answer).toMatchObject({ certificates: [], statuses: [{ status: 'failed', failInfo: 'internalCAError' }] });
    expect(await certificatesOf(made.device)).toBe(0);
  });

  test('stands alone where no certificate signs', async () => {
    const { made, key, token } = await waiting();
    const requests = [taggedPkcs10(2, csrOf(made.device, key))];
    const both = { requests, controls: [control(1, OID.cmcQueryPending, der.octetString(token))] };
    expect(await send('asked', signByNewKey(encodePkiData(both), key))).toMatchObject(refused);
  });
});

describe('the link between possession and identity', () => {
  const random = randomBytes(64);
  const randomControl = control(92, OID.cmcPopLinkRandom, der.octetString(random));
  const linked = ({ device }: TestDevice, key: DeviceKey, secret: string): Buffer =>
    taggedPkcs10(
      1,
      csrOf(device, key, { attributes: [encodeAttribute(OID.cmcPopLinkWitnessV2, popLink(secret, random))] }),
    );

  test('by the shared secret is taken in PKCS#10, also with the secret by HTTP Basic', async () => {
    const [made, other] = [await makeDevice(db, product), await makeDevice(db, product)];
    const key = newKey();
    const requests = [linked(made, key, shared(made).secret)];
    expect(await send('cmc', firstRequest(made, key, requests, [randomControl]))).toMatchObject({ status: 200 });
    const message = signByNewKey(
      encodePkiData({ requests: [linked(other, key, shared(other).secret)], controls: [randomControl] }),
      key,
    );
    const authorization = basic(other.device.id, other.secret);
    const answer = await postFull(server, 'cmc', message, { headers: { authorization } });
    expect(answer.status).toBe(200);
  });

  test('by the shared secret is taken in CRMF', async () => {
    const made = await makeDevice(db, product);
    const key = newKey();
    const witness = der.sequence(der.oid(OID.cmcPopLinkWitnessV2), popLink(shared(made).secret, random));
    const prove = {
      algorithm: signatureAlgorithm('ec-p256').der,
      sign: (request: Buffer) => signBytes('ec-p256', key.privateKey, request),
    };
    const request = (controls: Buffer[]) =>
      crmfRequest(5, { subject: der.sequence(), spki: key.spki, controls }, prove);
    const without = await send('cmc', firstRequest(made, key, [request([])], [randomControl]));
    expect(without).toMatchObject({ status: 400, statuses: [{ failInfo: 'popFailed' }] });
    expect(await send('cmc', firstRequest(made, key, [request([witness])], [randomControl]))).toMatchObject({
      status: 200,
      statuses: [{ status: 'success', bodyList: [5] }],
    });
  });

  test.each<[string, (made: TestDevice, key: DeviceKey) => Buffer]>([
    ['by another secret', (made, key) => firstRequest(made, key, [linked(made, key, 'other')], [randomControl])],
    ['without the random octets', (made, key) => firstRequest(made, key, [linked(made, key, shared(made).secret)])],
    [
      'missing in the request',
      (made, key) => firstRequest(made, key, [taggedPkcs10(1, csrOf(made.device, key))], [randomControl]),
    ],
    [
      'of other random octets',
      (made, key) =>
        firstRequest(
          made,
          key,
          [linked(made, key, shared(made).secret)],
          [control(92, OID.cmcPopLinkRandom, der.octetString(Buffer.alloc(64)))],
        ),
    ],
  ])('%s is popFailed, audited, and the secret stays good', async (_, build) => {
    const made = await makeDevice(db, product);
    const [key, before] = [newKey(), await refusals()];
    const answer = await send('cmc', build(made, key));
    expect(answer).toMatchObject({ status: 400, statuses: [{ status: 'failed', failInfo: 'popFailed' }] });
    expect(await refusals()).toBeGreaterThan(before);
    expect(await certificatesOf(made.device)).toBe(0);
    const good = firstRequest(made, key, [linked(made, key, shared(made).secret)], [randomControl]);
    expect((await send('cmc', good)).status).toBe(200);
  });

  test('goes with no request that is signed with a certificate', async () => {
    const enrolled = await makeEnrolled(db, product);
    const plain = taggedPkcs10(1, csrOf(enrolled.device, newKey()));
    const made = { device: enrolled.device, secret: '' };
    for (const request of [
      { requests: [plain], controls: [randomControl] },
      { requests: [linked(made, newKey(), 'secret')] },
    ]) {
      const answer = await send('cmc', signedBy(enrolled, request));
      expect(answer).toMatchObject({ status: 400, statuses: [{ failInfo: 'popFailed' }] });
    }
  });
});

describe('a control', () => {
  type Enrolled = Awaited<ReturnType<typeof makeEnrolled>>;
  let enrolled: Enrolled;
  beforeAll(async () => {
    enrolled = await makeEnrolled(db, product);
  });
  const renewal = (id = 1): Buffer => taggedPkcs10(id, csrOf(enrolled.device, newKey()));
  const ask = (request: FullRequest): Promise<FullAnswer> => send('cmc', signedBy(enrolled, request));

  test('dataReturn comes back, with a success and with a failure', async () => {
    const state = der.octetString(Buffer.from('slot 3'));
    const controls = [control(2, OID.cmcDataReturn, state)];
    expect(await ask({ requests: [renewal()], controls })).toMatchObject({
      status: 200,
      dataReturn: Buffer.from('slot 3'),
    });
    const bad = [...controls, control(3, '1.2.3', der.null())];
    expect(await ask({ requests: [renewal()], controls: bad })).toMatchObject({
      status: 400,
      dataReturn: Buffer.from('slot 3'),
    });
  });

  test('that confirms a certificate of the device is taken, of another one it is badCertId', async () => {
    const confirm = (id: number, certificate: Buffer) => {
      const { issuerDer, serial } = readCertificate(certificate);
      const value = der.sequence(issuerDer, der.tagged(0x02, Buffer.from(serial, 'hex')));
      return control(id, OID.cmcConfirmCertAcceptance, value);
    };
    const { certificate } = await makeEnrolled(db, product);
    const { statuses } = await ask({ controls: [confirm(1, enrolled.certificate), confirm(2, certificate)] });
    expect(statuses).toMatchObject([
      { status: 'success', bodyList: [1] },
      { status: 'failed', failInfo: 'badCertId', bodyList: [2] },
    ]);
  });

  test.each<[string, NonNullable<FullRequest['controls']>, string, number[]]>([
    ['that nobody knows', [control(8, '1.2.3', der.null()), control(9, '1.2.4', der.null())], 'badRequest', [8, 9]],
    ['getCert', [control(8, '1.3.6.1.5.5.7.7.15', der.null())], 'badRequest', [8]],
    ['batchRequests', [control(8, '1.3.6.1.5.5.7.7.28', der.sequence(der.integer(1)))], 'badRequest', [8]],
    ['addExtensions', [control(8, OID.cmcAddExtensions, der.null())], 'unsupportedExt', [8]],
    ['identityProof by SHA-1', [control(8, OID.cmcIdentityProof, der.octetString(Buffer.alloc(20)))], 'badAlg', [8]],
    ['that is malformed', [control(8, OID.cmcDataReturn, der.null())], 'badRequest', [8]],
    [
      'that says it is done',
      [control(8, OID.cmcControlProcessed, der.sequence(der.sequence(der.integer(9))))],
      'badRequest',
      [8],
    ],
  ])('%s fails the whole, and is named in the answer (E131)', async (_, controls, failInfo, bodyList) => {
    const [issued, before] = [await certificatesOf(enrolled.device), await refusals()];
    const answer = await ask({ requests: [renewal()], controls });
    expect(answer).toMatchObject({ status: 400, statuses: [{ status: 'failed', failInfo, bodyList }] });
    expect(await certificatesOf(enrolled.device)).toBe(issued);
    expect(await refusals()).toBeGreaterThan(before);
  });

  test('has company: a request of another form is noSupport, and no other is processed', async () => {
    const issued = await certificatesOf(enrolled.device);
    const other = der.constructed(2, der.integer(6), der.oid('1.2.3'), der.null());
    expect(await ask({ requests: [renewal(), other] })).toMatchObject({
      status: 400,
      statuses: [{ status: 'noSupport', bodyList: [6], failInfo: undefined }],
    });
    expect(await certificatesOf(enrolled.device)).toBe(issued);
  });

  test('refers to nothing nested: what is nested is passed over', async () => {
    const nested = [der.sequence(der.integer(3), der.sequence(der.oid(OID.data)))];
    expect((await ask({ requests: [renewal()], nested })).status).toBe(200);
  });
});

describe('a request', () => {
  test('whose signature proves nothing is popRequired', async () => {
    const enrolled = await makeEnrolled(db, product);
    const publicKey = readPublicKey(newKey().spki);
    const info = encodeCsrInfo({ subject: [[{ type: OID.commonName, value: enrolled.device.id }]], publicKey });
    const none = der.sequence(der.oid(OID.noSignature), der.null());
    const unsigned = der.sequence(info, none, der.bitString(der.octetString(Buffer.alloc(20))));
    const answer = await send('cmc', signedBy(enrolled, { requests: [taggedPkcs10(1, unsigned)] }));
    expect(answer).toMatchObject({ status: 400, statuses: [{ failInfo: 'popRequired', bodyList: [1] }] });
  });

  test('names the key that signs by the identifier that it asks for', async () => {
    const made = await makeDevice(db, product);
    const key = newKey();
    const wish = (value: Buffer) => ({ extensions: [{ oid: OID.subjectKeyIdentifier, critical: false, value }] });
    const build = (value: Buffer) =>
      firstRequest(made, key, [taggedPkcs10(1, csrOf(made.device, key, wish(der.octetString(value))))]);
    const wrong = await send('cmc', build(Buffer.from('another')));
    expect(wrong).toMatchObject({ status: 400, statuses: [{ failInfo: 'badMessageCheck', bodyList: [0] }] });
    const { keyId } = readPublicKey(key.spki);
    expect((await send('cmc', build(keyId))).status).toBe(200);
  });
});
