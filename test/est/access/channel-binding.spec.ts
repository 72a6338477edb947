import { once } from 'node:events';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { AuthorityContext } from '#authority';
import { der, readCertificate, readCertsOnly, toPem, type CsrTemplate } from '#pki';
import { startTestDatabase, type TestDatabase } from '../../harness/database.js';
import { basic, newKey } from '../../harness/device.js';
import { makeDevice, makeEnrolled, makeProduct, type Product, type TestDevice } from '../../harness/fixtures.js';
import { makeLabel } from '../../harness/manufacturer.js';
import { httpsRequest, type HttpsAnswer } from '../https-request.js';
import { counts, newestRefusal, openEst, optionsOf, pathOf, plainCsr, type Asking, type EstPlane } from './plane.js';

const SSL_OP_NO_EXTENDED_MASTER_SECRET = 1;
const V12 = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;
const V13 = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } as const;

let db: TestDatabase;
let api: AuthorityContext;
let plane: EstPlane;
let product: Product;
let required: string;
let off: string;
let secret: string;

beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  plane = await openEst(db);
  product = await makeProduct(api, db.operator);
  required = await makeLabel(db, { channelBinding: 'required' });
  off = await makeLabel(db, { channelBinding: 'off' });
  secret = await makeLabel(db, { challengePassword: 'secret', authentication: ['secret'] });
});
afterAll(async () => {
  await plane?.close();
  await db?.stop();
});

/** A connection whose handshake is over, and the session that it gave. */
async function open(options: ConnectionOptions): Promise<{ socket: TLSSocket; session: () => Buffer | undefined }> {
  const { hostname, port } = new URL(plane.base);
  const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false, ...options });
  let session: Buffer | undefined;
  socket.on('session', (ticket: Buffer) => (session = ticket));
  await once(socket, 'secureConnect');
  return { socket, session: () => session };
}

/** By RFC 5929 and RFC 9266, from the client's end. */
function bindingOf(socket: TLSSocket): string {
  const bytes =
    socket.getProtocol() === 'TLSv1.3'
      ? socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0))
      : socket.isSessionReused()
        ? socket.getPeerFinished()!
        : socket.getFinished()!;
  return bytes.toString('base64');
}

const credentials = ({ device, secret: password }: TestDevice) => ({ authorization: basic(device.id, password) });

function send(socket: TLSSocket, asking: Asking): Promise<HttpsAnswer> {
  const createConnection = () => socket;
  return httpsRequest(plane.base, pathOf(asking), { ...optionsOf(asking), agent: undefined, createConnection });
}

const linked = (socket: TLSSocket, made: TestDevice, label: string, link = bindingOf(socket)): Promise<HttpsAnswer> => {
  const key = newKey();
  return send(socket, { label, headers: credentials(made), csr: plainCsr(key, { challengePassword: link }) });
};

/** Refused with a text, told to the audit log, and nothing done. */
async function expectRefused(ask: () => Promise<HttpsAnswer>, text: RegExp, code = 'channelBinding'): Promise<void> {
  const before = await counts(db);
  const last = await newestRefusal(db);
  const answer = await ask();
  expect([answer.status, answer.headers['content-type']]).toEqual([400, 'text/plain; charset=utf-8']);
  expect(answer.text).toMatch(text);
  expect(await counts(db)).toEqual(before);
  const row = await newestRefusal(db);
  expect(row?.id).not.toBe(last?.id);
  expect(row?.detail['code']).toBe(code);
}

describe('where linking is required', () => {
  test.each([
    ['TLS 1.2 with extended master secret', V12],
    ['TLS 1.3', V13],
  ])('it is taken on %s, on a full handshake and on a resumed one (E61, E62, E64, E65)', async (_name, version) => {
    const first = await open(version);
    const [one, two] = [await makeDevice(db, product), await makeDevice(db, product)];
    expect((await linked(first.socket, one, required)).status).toBe(200);
    const again = await open({ ...version, session: first.session()! });
    expect(again.socket.isSessionReused()).toBe(true);
    expect((await linked(again.socket, two, required)).status).toBe(200);
  });

  test('not on TLS 1.2 without extended master secret, right or not (E63)', async () => {
    const made = await makeDevice(db, product);
    for (const label of [required, 'device']) {
      const { socket } = await open({ ...V12, secureOptions: SSL_OP_NO_EXTENDED_MASTER_SECRET });
      await expectRefused(() => linked(socket, made, label), /extended master secret/);
    }
    const first = await open({ ...V12, secureOptions: SSL_OP_NO_EXTENDED_MASTER_SECRET });
    await linked(first.socket, made, required);
    const again = await open({
      ...V12,
      secureOptions: SSL_OP_NO_EXTENDED_MASTER_SECRET,
      session: first.session()!,
    });
    await expectRefused(() => linked(again.socket, made, required), /extended master secret/);
  });

  test.each([
    ['TLS 1.2', V12],
    ['TLS 1.3', V13],
  ])(
    'a request without it, with that of another connection, or twice, or too long is refused on %s (EX22, E68)',
    async (_n, version) => {
      const made = await makeDevice(db, product);
      const headers = credentials(made);
      const fresh = async () => (await open(version)).socket;
      const bare = await fresh();
      await expectRefused(() => send(bare, { label: required, headers }), /^linking is required/);
      const [other, socket] = [await fresh(), await fresh()];
      await expectRefused(() => linked(socket, made, required, bindingOf(other)), /failed/);
      other.destroy();
      const twice = await fresh();
      const attribute = challenge(bindingOf(twice));
      const wishes: Partial<CsrTemplate> = { attributes: [attribute, attribute] };
      const csr = plainCsr(newKey(), wishes);
      await expectRefused(() => send(twice, { label: required, headers, csr }), /repeats attribute/, 'malformed');
      const long = await fresh();
      const oversized = plainCsr(newKey(), { attributes: [challenge('x'.repeat(256))] });
      // E68
      await expectRefused(() => send(long, { label: required, headers, csr: oversized }), /255 octets/, 'malformed');
      const right = await fresh();
      expect((await linked(right, made, required)).status).toBe(200);
    },
  );

  test('a renewal needs it as well', async () => {
    const { device, key, certificate } = await makeEnrolled(db, product);
    const identity = { cert: toPem('CERTIFICATE', certificate), key: key.pem };
    const renew = async (link?: (socket: TLSSocket) => string) => {
      const { socket } = await open({ ...V13, ...identity });
      const csr = plainCsr(newKey(), {
        subject: [[{ type: '2.5.4.3', value: device.id }]],
        san: [{ type: 'uri', value: `urn:uuid:${device.instanceId}` }],
        ...(link && { challengePassword: link(socket) }),
      });
      return send(socket, { operation: 'simplereenroll', label: required, csr });
    };
    await expectRefused(() => renew(), /^linking is required/);
    expect((await renew(bindingOf)).status).toBe(200);
  });
});

const challenge = (text: string): Buffer =>
  der.sequence(der.oid('1.2.840.113549.1.9.7'), der.setOf(der.utf8String(text)));

describe('where there is no linking', () => {
  test('a request that is linked, rightly even, is refused; one that is not is taken', async () => {
    const made = await makeDevice(db, product);
    const { socket } = await open(V13);
    await expectRefused(() => linked(socket, made, off), /leave challengePassword out/);
    expect((await plane.ask({ label: off, headers: credentials(made) })).status).toBe(200);
  });
});

describe('where challengePassword is the enrollment secret (E70)', () => {
  const ask = (challengePassword: string | undefined, label = secret) =>
    plane.ask({ label, csr: plainCsr(newKey(), challengePassword === undefined ? {} : { challengePassword }) });

  test('it enrolls its device, once, and nothing is compared with the connection', async () => {
    const { device, secret: password } = await makeDevice(db, product);
    const answer = await ask(password);
    expect(answer.status).toBe(200);
    const [certificate] = readCertsOnly(Buffer.from(answer.text, 'base64'));
    expect(readCertificate(certificate!).san).toEqual([{ type: 'uri', value: `urn:uuid:${device.instanceId}` }]);
    expect((await ask(password)).status).toBe(401);
  });

  test('another text, or none, is no secret; and no other label takes it for one', async () => {
    const { secret: password } = await makeDevice(db, product);
    const before = await counts(db);
    expect((await ask('a password')).status).toBe(401);
    expect((await ask(undefined)).status).toBe(401);
    const { socket } = await open(V13);
    expect((await ask(bindingOf(socket))).status).toBe(401);
    socket.destroy();
    expect((await ask(password, 'device')).status).toBe(400);
    expect(await counts(db)).toEqual(before);
    expect((await ask(password)).status).toBe(200);
    const dump = await db.dump();
    expect(dump).not.toContain(password);
  });
});
