import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { currentLabel, enrollOverEst, rejectPending } from '#authority';
import { decodeBody, readPkiResponse } from '#est';
import { OID, readCertificate, readCertsOnly, readSignedData } from '#pki';
import { encodePkiData, signByNewKey, taggedPkcs10 } from '../../libs/est/src/testing/cmc-client.js';
import { readKeyResponse } from '../../libs/est/src/testing/key-response-client.js';
import { approveEnrollment } from '../harness/approve-enrollment.js';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { basic, csrOf, newKey, type DeviceKey } from '../harness/device.js';
import { enrollRequest, makeDevice, makeProduct, type Product, type TestDevice } from '../harness/fixtures.js';
import { decidersOf } from '../harness/manufacturer.js';
import { decideLabel, startEstServer, type EstServer } from './est-server.js';
import type { HttpsAnswer } from './https-request.js';

let db: TestDatabase;
let server: EstServer;
let product: Product;

beforeAll(async () => {
  db = await startTestDatabase();
  product = await makeProduct(await db.context('api'), db.operator);
  server = await startEstServer(db);
  await decideLabel(db, 'asked', { profile: 'device', approval: true, operations: ['serverkeygen', 'fullcmc'] });
});
afterAll(async () => {
  await server.close();
  await db.stop();
});

const certificatesOf = async (device: { id: string }): Promise<number> =>
  (await db.sql(`select 1 from certificates where device_id = $1`, [device.id])).length;
const waitingOf = (device: { id: string }) =>
  db.sql<{ id: string; keyType: string; spki: Buffer }>(
    `select id, key_type as "keyType", spki_sha256 as spki from pending_enrollments where device_id = $1 and state = 'pending'`,
    [device.id],
  );

type Options = Parameters<EstServer['call']>[2];
const post = (operation: string, type: string, body: Buffer, options: Options = {}) =>
  server.call('POST', `/.well-known/est/asked/${operation}`, {
    ...options,
    headers: { 'content-type': type, ...options.headers },
    body: body.toString('base64'),
  });

describe('a key that is made here, where somebody has to approve', () => {
  const ask = (made: TestDevice, csr: Buffer): Promise<HttpsAnswer> =>
    post('serverkeygen', 'application/pkcs10', csr, { headers: { authorization: basic(made.device.id, made.secret) } });
  function expectPending(answer: HttpsAnswer): void {
    expect({ status: answer.status, text: answer.text }).toEqual({
      status: 202,
      text: 'The request waits for approval; send it again later\n',
    });
    expect(answer.headers['retry-after']).toMatch(/^[1-9]\d{1,3}$/);
  }
  function opened(answer: HttpsAnswer) {
    expect({ status: answer.status, text: answer.text.slice(0, 2) }).toEqual({ status: 200, text: '--' });
    const [key, certificate] = readKeyResponse(answer.headers['content-type'], answer.body);
    const [der] = readCertsOnly(decodeBody(certificate!.body));
    const read = readCertificate(der!);
    const made = createPrivateKey({ key: decodeBody(key!.body), format: 'der', type: 'pkcs8' });
    expect(createPublicKey(made).export({ type: 'spki', format: 'der' })).toEqual(read.publicKey.spki);
    return read;
  }

  test('waits (202) without a key, and comes with the certificate, of the approved kind, once it is approved (E87, E88, E102)', async () => {
    const made = await makeDevice(db, product);
    expectPending(await ask(made, csrOf(made.device, newKey('P-384'))));
    expectPending(await ask(made, csrOf(made.device, newKey('P-384'))));
    const [shown, ...more] = await waitingOf(made.device);
    expect([shown!.keyType, shown!.spki, more]).toEqual(['ec-p384', Buffer.alloc(32), []]);
    expect(await certificatesOf(made.device)).toBe(0);
    await approveEnrollment(db, made.device.id);
    // Another kind of key is asked for meanwhile; nobody has approved that.
    const first = opened(await ask(made, csrOf(made.device, newKey())));
    expect(first.publicKey.keyType).toBe('ec-p384');
    // The answer may be lost, as ever (E109).
    const second = opened(await ask(made, csrOf(made.device, newKey('P-384'))));
    expect(second.publicKey.spki).not.toEqual(first.publicKey.spki);
    expect(server.est.follower.index.certificate(first.serial)).toMatchObject({ reason: 'superseded' });
    expect(await certificatesOf(made.device)).toBe(2);
  });

  test('is refused with the reason once it is rejected, and nothing else is given for the secret (E89)', async () => {
    const made = await makeDevice(db, product);
    const csr = csrOf(made.device, newKey());
    expectPending(await ask(made, csr));
    const [shown] = await waitingOf(made.device);
    const { approver } = await decidersOf(db);
    await rejectPending(await db.context('api'), approver, shown!.id, { reason: 'not ours' });
    expect(await ask(made, csr)).toMatchObject({ status: 403, text: 'the enrollment was rejected: not ours\n' });
    expect(await certificatesOf(made.device)).toBe(0);
  });

  test('is never certified before it is made: not approved, approved a moment ago, or answered already', async () => {
    const made = await makeDevice(db, product);
    const keyToCome = true as const;
    const unmade = enrollRequest(made, newKey(), { label: currentLabel(server.est, 'asked')!, keyToCome });
    const request = { ...unmade, operation: 'serverkeygen' as const };
    const changed = { ...request, label: { ...request.label, approval: false } };
    expect(await enrollOverEst(server.est, changed)).toMatchObject({ state: 'pending' });
    await approveEnrollment(db, made.device.id);
    await expect(enrollOverEst(server.est, request)).rejects.toMatchObject({ kind: 'unavailable', retryAfter: 1 });
    expect(await certificatesOf(made.device)).toBe(0);
    opened(await ask(made, csrOf(made.device, newKey())));
    await expect(enrollOverEst(server.est, request)).rejects.toMatchObject({ kind: 'unavailable', retryAfter: 1 });
    expect(await certificatesOf(made.device)).toBe(1);
  });
});

describe('a full CMC request, where somebody has to approve', () => {
  const TYPE = 'application/pkcs7-mime; smime-type=CMC-request';
  const ask = (made: TestDevice, key: DeviceKey): Promise<HttpsAnswer> => {
    const message = signByNewKey(encodePkiData({ requests: [taggedPkcs10(7, csrOf(made.device, key))] }), key);
    return post('fullcmc', TYPE, message, { headers: { authorization: basic(made.device.id, made.secret) } });
  };
  function opened(answer: HttpsAnswer) {
    expect(answer.headers['content-type']).toBe('application/pkcs7-mime; smime-type=CMC-response');
    const message = readSignedData(decodeBody(answer.body));
    const certificates = message.certificates.filter((one) => readCertificate(one).eku?.includes(OID.clientAuth));
    return { status: answer.status, certificates, ...readPkiResponse(message.content) };
  }

  test('is answered 202 with pendInfo and Retry-After, and with the certificate once it is approved (E87, E131)', async () => {
    const made = await makeDevice(db, product);
    const key = newKey();
    for (const answer of [await ask(made, key), await ask(made, key)]) {
      expect(answer.headers['retry-after']).toMatch(/^[1-9]\d{1,3}$/);
      expect(opened(answer)).toMatchObject({
        status: 202,
        certificates: [],
        statuses: [
          {
            status: 'pending',
            bodyList: [7],
            pending: { token: expect.any(Buffer), time: expect.any(Date) },
            failInfo: undefined,
          },
        ],
      });
    }
    expect(await waitingOf(made.device)).toHaveLength(1);
    await approveEnrollment(db, made.device.id);
    const done = opened(await ask(made, key));
    expect(done).toMatchObject({ status: 200, statuses: [{ status: 'success', bodyList: [7] }] });
    expect(readCertificate(done.certificates[0]!).publicKey.spki).toEqual(key.spki);
    expect(opened(await ask(made, key)).certificates).toEqual(done.certificates);
  });

  test('fails with the reason once it is rejected (E89)', async () => {
    const made = await makeDevice(db, product);
    const key = newKey();
    expect((await ask(made, key)).status).toBe(202);
    const [shown] = await waitingOf(made.device);
    const { approver } = await decidersOf(db);
    await rejectPending(await db.context('api'), approver, shown!.id, { reason: 'not ours' });
    expect(opened(await ask(made, key))).toMatchObject({
      status: 403,
      statuses: [{ status: 'failed', failInfo: 'badIdentity', text: 'the enrollment was rejected: not ours' }],
    });
  });
});
