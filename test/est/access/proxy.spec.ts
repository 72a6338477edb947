import { stat } from 'node:fs/promises';
import { request as sendPlain } from 'node:http';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { listenForProxy } from '#apps/est';
import { revokeCertificate, type AuthorityContext } from '#authority';
import { readCertificate, readCertsOnly } from '#pki';
import { startTestDatabase, type TestDatabase } from '../../harness/database.js';
import { basic, csrOf, newKey } from '../../harness/device.js';
import { makeDevice, makeEnrolled, makeProduct, type Product } from '../../harness/fixtures.js';
import {
  inStep,
  makeAnchors,
  makeLabel,
  makeManufacturer,
  selfSignedIdentity,
  type ClientIdentity,
  type Manufacturer,
} from '../../harness/manufacturer.js';
import { httpsRequest, type HttpsAnswer } from '../https-request.js';
import { counts, newestRefusal, openEst, optionsOf, pathOf, plainCsr, type Asking, type EstPlane } from './plane.js';

let db: TestDatabase;
let api: AuthorityContext;
let product: Product;
let proxy: ClientIdentity;
let byKey: ClientIdentity;
let plane: EstPlane;
let bare: EstPlane;
let label: string;
let acme: Manufacturer;
let factory: string;

beforeAll(async () => {
  db = await startTestDatabase();
  api = await db.context('api');
  product = await makeProduct(api, db.operator);
  [proxy, byKey, acme] = [await selfSignedIdentity(), await selfSignedIdentity(), await makeManufacturer()];
  const certificate = readCertificate(proxy.der).sha256.toString('hex').toUpperCase();
  const key = readCertificate(byKey.der).publicKey.sha256.toString('hex');
  plane = await openEst(db, { TOUCHMARK_EST_PROXIES: `${certificate.replace(/(..)(?!$)/g, '$1:')}, ${key}` });
  bare = await openEst(db);
  label = await makeLabel(db, { proxy: true, authentication: ['secret', 'certificate'] });
  const chain = { certificates: [acme.rootPem], intermediates: [acme.intermediatePem] };
  const set = await makeAnchors(db, product, { ...chain, register: 'automatic' });
  factory = await makeLabel(db, { proxy: true, authentication: ['manufacturer'], anchors: [set] });
});
afterAll(async () => {
  await plane?.close();
  await bare?.close();
  await db?.stop();
});

/** RFC 8941 section 3.3.5. */
const sf = (bytes: Buffer): string => `:${bytes.toString('base64')}:`;

const pemDer = (pem: string): Buffer => Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');

const through = (asking: Asking, hop: ClientIdentity = proxy): Promise<HttpsAnswer> =>
  plane.ask({ label, ...asking, identity: hop });

interface Enrolled {
  der: Buffer;
  csr: Buffer;
  asking: Asking;
}

/** A device with a certificate, and what it sends to renew it. */
async function enrolled(): Promise<Enrolled> {
  const { device, certificate } = await makeEnrolled(db, product);
  const csr = csrOf(device, newKey());
  return {
    der: certificate,
    csr,
    asking: { operation: 'simplereenroll', csr, headers: { 'client-cert': sf(certificate) } },
  };
}

/** Refused with a text, told to the audit log, and nothing done. */
async function expectRefused(
  ask: () => Promise<HttpsAnswer>,
  status: number,
  text: RegExp,
  code?: string,
): Promise<HttpsAnswer> {
  const before = await counts(db);
  const last = await newestRefusal(db);
  const answer = await ask();
  expect([answer.status, answer.headers['content-type']]).toEqual([status, 'text/plain; charset=utf-8']);
  expect(answer.text).toMatch(text);
  expect(await counts(db)).toEqual(before);
  const row = await newestRefusal(db);
  expect(row?.id).not.toBe(last?.id);
  if (code !== undefined) expect(row?.detail['code']).toBe(code);
  return answer;
}

describe('a proxy that proves itself', () => {
  test('hands over the certificate of a device, which renews (T01, T04); the answer is nobody else’s (T08, T10)', async () => {
    for (const hop of [proxy, byKey]) {
      const { asking } = await enrolled();
      const answer = await through(asking, hop);
      expect(answer.status).toBe(200);
      expect(answer.headers['cache-control']).toBe('no-store');
      expect(Object.keys(answer.headers).filter((name) => name.startsWith('client-cert'))).toEqual([]);
      expect(readCertsOnly(Buffer.from(answer.text, 'base64'))).toHaveLength(1);
    }
  });

  test('vouches for nothing: what is revoked, unknown or another’s is refused as ever (T07)', async () => {
    const { der, asking } = await enrolled();
    await revokeCertificate(api, db.operator, readCertificate(der).serial, { reason: 'superseded' });
    await inStep(db);
    await expectRefused(() => through(asking), 403, /the client certificate is revoked/);
    const stranger = await selfSignedIdentity();
    const other = { ...asking, headers: { 'client-cert': sf(stranger.der) } };
    await expectRefused(() => through(other), 403, /not accepted/);
  });

  test('is no device itself: without Client-Cert there is no certificate', async () => {
    const { csr } = await enrolled();
    await expectRefused(() => through({ operation: 'simplereenroll', csr }), 401, /re-enrollment needs/);
    const { device, secret } = await makeDevice(db, product);
    expect((await through({ headers: { authorization: basic(device.id, secret) } })).status).toBe(200);
  });

  test('may bring the chain, which has to be that of the certificate (T02, TX06)', async () => {
    const device = await acme.issue({ serialNumber: 'SN-1' });
    const [intermediate, root] = [pemDer(acme.intermediatePem), pemDer(acme.rootPem)];
    const ask = (chain: string[] | string) =>
      through({ label: factory, headers: { 'client-cert': sf(device.der), 'client-cert-chain': chain } });
    await expectRefused(() => ask(sf(root)), 403, /does not belong to the Client-Cert-Chain/);
    await expectRefused(() => ask(`${sf(root)}, ${sf(intermediate)}`), 403, /does not belong/);
    const twin = await makeManufacturer();
    await expectRefused(() => ask(sf(pemDer(twin.intermediatePem))), 403, /does not belong/);
    await expectRefused(() => ask(Array(11).fill(sf(root)).join(',')), 400, /more than 10/);
    expect((await ask([sf(intermediate), sf(root)])).status).toBe(200);
  });

  test('passes no link to a connection: a request that carries one is refused (T11, E69)', async () => {
    const { device, secret } = await makeDevice(db, product);
    const headers = { authorization: basic(device.id, secret) };
    const csr = plainCsr(newKey(), { challengePassword: Buffer.alloc(32).toString('base64') });
    await expectRefused(() => through({ headers, csr }), 400, /came through a proxy/, 'channelBinding');
  });

  test('says for whom it asks, by the last address of X-Forwarded-For; nobody else does', async () => {
    const asking = { headers: { 'x-forwarded-for': '192.0.2.66, 198.51.100.7' } };
    await expectRefused(() => through(asking), 401, /send/);
    expect((await newestRefusal(db))?.actor).toBe('anonymous:198.51.100.7');
    await expectRefused(() => plane.ask({ label, ...asking }), 401, /send/);
    expect((await newestRefusal(db))?.actor).toBe('anonymous:127.0.0.1');
    await expectRefused(() => through({ headers: { 'x-forwarded-for': 'not-an-address' } }), 401, /send/);
    expect((await newestRefusal(db))?.actor).toBe('anonymous:127.0.0.1');
  });
});

describe('it is refused', () => {
  test('from anybody else, audited, also where no proxies are set up (T03, TX01)', async () => {
    const { asking } = await enrolled();
    const stranger = await selfSignedIdentity();
    const text = /from the proxies of this authority alone/;
    for (const ask of [
      () => plane.ask({ label, ...asking }),
      () => plane.ask({ label, ...asking, identity: stranger }),
      () => bare.ask({ label, ...asking, identity: proxy }),
      () => plane.ask({ label, headers: { 'client-cert-chain': sf(stranger.der) } }),
      () =>
        httpsRequest(plane.base, '/.well-known/est/cacerts', {
          rejectUnauthorized: false,
          headers: { 'client-cert': sf(stranger.der) },
        }),
    ]) {
      await expectRefused(ask, 400, text, 'clientCertUntrusted');
    }
  });

  test('where other fields look like it: they mean nothing (T06)', async () => {
    const { der, csr } = await enrolled();
    const value = sf(der);
    for (const name of ['Client_Cert', 'X-SSL-Client-Cert', 'X-Forwarded-Client-Cert', 'SSL-Client-Cert']) {
      const asking = { operation: 'simplereenroll', csr, headers: { [name]: value } } as const;
      await expectRefused(() => plane.ask({ label, ...asking }), 401, /re-enrollment needs/);
      await expectRefused(() => through(asking), 401, /re-enrollment needs/);
    }
  });

  test.each<[string, (der: Buffer) => Record<string, string | string[]>, RegExp]>([
    ['two fields (TX02)', (der) => ({ 'client-cert': [sf(der), sf(der)] }), /more than one Client-Cert/],
    ['a list (TX02)', (der) => ({ 'client-cert': `${sf(der)}, ${sf(der)}` }), /more than one Client-Cert/],
    ['no colons (TX03)', (der) => ({ 'client-cert': der.toString('base64') }), /no Byte Sequence/],
    ['PEM (TX03)', (der) => ({ 'client-cert': `-----BEGIN CERTIFICATE----- ${der.toString('base64')}` }), /no Byte/],
    ['escaped PEM (TX03)', (der) => ({ 'client-cert': `:${der.toString('base64')}%0A:` }), /no Byte Sequence/],
    [
      'base64url (TX03)',
      (der) => ({ 'client-cert': `:${Buffer.concat([der, Buffer.from('fbff', 'hex')]).toString('base64url')}-_:` }),
      /no Byte/,
    ],
    ['no padding (TX03)', () => ({ 'client-cert': ':MA:' }), /no Byte Sequence/],
    ['parameters (TX03)', (der) => ({ 'client-cert': `${sf(der)};a=1` }), /no Byte Sequence/],
    ['nothing (TX03)', () => ({ 'client-cert': '::' }), /no Byte Sequence/],
    [
      'trailing bytes (TX04)',
      (der) => ({ 'client-cert': sf(Buffer.concat([der, Buffer.alloc(1)])) }),
      /no certificate/,
    ],
    ['no certificate (TX04)', () => ({ 'client-cert': sf(Buffer.from('300100', 'hex')) }), /no certificate/],
    ['a chain alone (TX05)', (der) => ({ 'client-cert-chain': sf(der) }), /came without Client-Cert/],
    ['a chain of another form', (der) => ({ 'client-cert': sf(der), 'client-cert-chain': 'x' }), /Chain is no Byte/],
  ])('from the proxy too: %s', async (_name, headersOf, text) => {
    const { der, csr } = await enrolled();
    const asking = { operation: 'simplereenroll', csr, headers: headersOf(der) } as const;
    await expectRefused(() => through(asking), 400, text, 'clientCert');
  });

  test('above the limit of a head (TX07)', async () => {
    const { csr } = await enrolled();
    const headers = { 'client-cert': sf(Buffer.alloc(16_000, 1)) };
    const answer = await through({ operation: 'simplereenroll', csr, headers });
    expect([answer.status, answer.text]).toEqual([431, 'This is not a readable HTTP request\n']);
  });

  test('where the label wants TLS to end here, with the field and without (TX08)', async () => {
    const { asking } = await enrolled();
    for (const one of ['device', await makeLabel(db, {})]) {
      await expectRefused(() => through({ ...asking, label: one }), 400, /connect directly/, 'directOnly');
      await expectRefused(() => through({ label: one }), 400, /connect directly/, 'directOnly');
    }
  });
});

describe('the Unix socket', () => {
  const socketOf = () => path.join(path.dirname(db.home), 'est.sock');

  function ask(asking: Asking): Promise<number> {
    const { headers, method, body } = optionsOf(asking);
    return new Promise((resolve, reject) => {
      const options = { socketPath: socketOf(), path: pathOf(asking), method, headers, agent: false } as const;
      const outgoing = sendPlain(options, (incoming) => {
        incoming.resume();
        incoming.on('end', () => resolve(incoming.statusCode ?? 0));
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  test('is the proxy’s: its owner and group may open it, and what it sends counts (T04)', async () => {
    const stop = await listenForProxy(plane.app, socketOf());
    try {
      expect((await stat(socketOf())).mode & 0o777).toBe(0o660);
      const { asking } = await enrolled();
      expect(await ask({ label, ...asking })).toBe(200);
      expect(await ask({ label, headers: {} })).toBe(401);
      expect((await newestRefusal(db))?.actor).toBe('anonymous:unix');
      expect(await ask({ label: 'device', headers: {} })).toBe(400);
    } finally {
      await stop();
    }
    const again = await listenForProxy(plane.app, socketOf());
    await again();
    await expect(listenForProxy(plane.app, db.home)).rejects.toMatchObject({ member: 'TOUCHMARK_EST_PROXY_SOCKET' });
  });
});
