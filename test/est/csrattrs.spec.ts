import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { resetDevice } from '#authority';
import { decodeBody, readCsrAttributes, type CsrAttribute } from '#est';
import { encodeGeneralNames, OID, toPem } from '#pki';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { basic, csrOf, newKey } from '../harness/device.js';
import { makeDevice, makeEnrolled, makeProduct, type Product, type TestDevice } from '../harness/fixtures.js';
import { decideLabel, startEstServer, type EstServer } from './est-server.js';
import type { HttpsAnswer } from './https-request.js';
import { selfSigned } from './self-signed.js';

let db: TestDatabase;
let server: EstServer;
let product: Product;

beforeAll(async () => {
  db = await startTestDatabase();
  product = await makeProduct(await db.context('api'), db.operator);
  server = await startEstServer(db);
  await decideLabel(db, 'linked', { profile: 'device', operations: ['csrattrs'], channelBinding: 'required' });
  await decideLabel(db, 'bare', { profile: 'device', operations: [] });
});
afterAll(async () => {
  await server.close();
  await db.stop();
});

const PATH = '/.well-known/est/csrattrs';
const get = (options: Parameters<EstServer['call']>[2] = {}, path = PATH) => server.call('GET', path, options);

function listOf(answer: HttpsAnswer): CsrAttribute[] {
  expect({ status: answer.status, type: answer.headers['content-type'] }).toEqual({
    status: 200,
    type: 'application/csrattrs',
  });
  expect(answer.headers['content-length']).toBe(String(answer.body.length));
  return readCsrAttributes(decodeBody(answer.body));
}

const templateOf = (answer: HttpsAnswer) => {
  const found = listOf(answer).find((one) => one.kind === 'template');
  return found?.kind === 'template' ? found.template : undefined;
};

describe('csrattrs', () => {
  it('asks nobody who he is, and says what the profile wants, the names left open (E120, E121)', async () => {
    const answer = await get();
    const template = templateOf(answer);
    expect(template?.subject).toBeUndefined();
    expect(template?.extensions).toContainEqual({ oid: OID.subjectAltName, critical: false, value: undefined });
    expect(answer.headers['cache-control']).toBe('public, max-age=300');
    const again = await get({ headers: { 'if-none-match': answer.headers.etag as string } });
    expect({ status: again.status, length: again.body.length }).toEqual({ status: 304, length: 0 });
  });

  it('is the same at every form of path (E04, E05, E23b)', async () => {
    const { text } = await get();
    for (const path of ['/.well-known/est/device/csrattrs', '/device/.well-known/est/csrattrs']) {
      expect((await get({}, path)).text).toBe(text);
    }
  });

  it('tells a device its own names, by its secret or its certificate, and lets nobody store that (E121)', async () => {
    const { device, certificate, key } = await makeEnrolled(db, product);
    const made = await makeDevice(db, product);
    const byCertificate = await get({ cert: toPem('CERTIFICATE', certificate), key: key.pem });
    const bySecret = await get({ headers: { authorization: basic(made.device.id, made.secret) } });
    for (const [answer, own] of [
      [byCertificate, device],
      [bySecret, made.device],
    ] as const) {
      const template = templateOf(answer);
      expect(template?.subject).toEqual([[{ type: OID.commonName, value: own.id }]]);
      const value = encodeGeneralNames([{ type: 'uri', value: `urn:uuid:${own.instanceId}` }]);
      expect(template?.extensions).toContainEqual({ oid: OID.subjectAltName, critical: false, value });
      expect(answer.headers['cache-control']).toBe('no-store');
    }
  });

  it('does not use up the secret that it looks at, and a request made after it is accepted', async () => {
    const made = await makeDevice(db, product);
    const headers = { authorization: basic(made.device.id, made.secret) };
    listOf(await get({ headers }));
    const body = csrOf(made.device, newKey()).toString('base64');
    const enrolled = await server.call('POST', '/.well-known/est/simpleenroll', {
      headers: { ...headers, 'content-type': 'application/pkcs10' },
      body,
    });
    expect(enrolled.status).toBe(200);
  });

  it('tells nothing for a secret that would serve no enrollment any more: withdrawn, or used some time ago (EX12)', async () => {
    const enrolled = async (): Promise<TestDevice> => {
      const made = await makeDevice(db, product);
      const headers = { authorization: basic(made.device.id, made.secret), 'content-type': 'application/pkcs10' };
      const body = csrOf(made.device, newKey()).toString('base64');
      expect((await server.call('POST', '/.well-known/est/simpleenroll', { headers, body })).status).toBe(200);
      return made;
    };
    const ask = ({ device, secret }: TestDevice) => get({ headers: { authorization: basic(device.id, secret) } });
    const wrong = await get({ headers: { authorization: basic('', 'x') } });
    const used = await enrolled();
    // Its answer may have been lost: it asks from the beginning (E91).
    expect(templateOf(await ask(used))?.subject).toEqual([[{ type: OID.commonName, value: used.device.id }]]);
    await db.tamper(`update certificates set created_at = created_at - interval '601 s' where device_id = $1`, [
      used.device.id,
    ]);
    const reset = await makeDevice(db, product);
    await resetDevice(await db.context('api'), db.operator, reset.device.id);
    for (const made of [used, reset]) {
      const answer = await ask(made);
      expect([answer.status, answer.text]).toEqual([401, wrong.text]);
      expect(answer.headers['www-authenticate']).toBe(wrong.headers['www-authenticate']);
    }
  });

  it('takes a stranger’s certificate for nobody’s, and a wrong secret for a mistake (EX12)', async () => {
    const stranger = await selfSigned('stranger');
    const answer = await get({ cert: stranger.cert, key: stranger.key });
    expect(templateOf(answer)?.subject).toBeUndefined();
    const wrong = await get({ headers: { authorization: basic('', 'x') } });
    expect(wrong.status).toBe(401);
  });

  it('lists challengePassword where the request must be linked (E67)', async () => {
    const list = listOf(await get({}, '/.well-known/est/linked/csrattrs'));
    expect(list).toContainEqual({ kind: 'oid', oid: OID.challengePassword });
    expect(listOf(await get())).not.toContainEqual({ kind: 'oid', oid: OID.challengePassword });
  });

  it('by POST is 405, and 404 where the label does not offer it (EX23, E10)', async () => {
    const posted = await server.call('POST', PATH, { body: '' });
    expect({ status: posted.status, allow: posted.headers.allow }).toEqual({ status: 405, allow: 'GET, HEAD' });
    expect((await get({}, '/.well-known/est/bare/csrattrs')).status).toBe(404);
  });

  it('breaks its lines for libest alone (E23a)', async () => {
    const lines = (answer: HttpsAnswer) => answer.text.trimEnd().split('\n').length;
    expect(lines(await get())).toBe(1);
    expect(lines(await get({ headers: { 'user-agent': 'libest 3.2' } }))).toBeGreaterThan(1);
  });
});
