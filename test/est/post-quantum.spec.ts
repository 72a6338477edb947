import { createPrivateKey, generateKeyPairSync, verify, X509Certificate } from 'node:crypto';
import { connect, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { createEst } from '#apps/est';
import type { AuthorityContext } from '#authority';
import { loadConfig } from '#kernel';
import { readCertificate, readCertsOnly, toPem, validatePath, type KeyType } from '#pki';
import { silent, startTestDatabase, type TestDatabase } from '../harness/database.js';
import { basic, csrOf, type DeviceKey } from '../harness/device.js';
import { makeDevice, makeProduct, type Product, type TestDevice } from '../harness/fixtures.js';
import { httpsRequest, type HttpsAnswer } from './https-request.js';
import { selfSigned } from './self-signed.js';

let db: TestDatabase;
let est: AuthorityContext;
let app: Awaited<ReturnType<typeof createEst>>;
let base: string;
let port: number;
let product: Product;

beforeAll(async () => {
  db = await startTestDatabase({ caKeyType: 'ml-dsa-87' });
  est = await db.context('est');
  product = await makeProduct(await db.context('api'), db.operator);
  app = await createEst({
    config: loadConfig({}),
    authority: est,
    tls: await selfSigned(),
    cacerts: async () => (await est.issuers.chain()).map(({ certificate }) => certificate),
    registry: new Registry(),
    log: silent,
    readiness: () => Promise.resolve([]),
  });
  await app.listen(0, '127.0.0.1');
  port = (app.getHttpServer().address() as AddressInfo).port;
  base = `https://127.0.0.1:${port}`;
});
afterAll(async () => {
  await app.close();
  await db.stop();
});

function keyOf(keyType: KeyType): DeviceKey {
  const { privateKey, publicKey } = keyType.startsWith('ec-')
    ? generateKeyPairSync('ec', { namedCurve: keyType.replace('ec-p', 'P-') })
    : generateKeyPairSync(keyType as 'ml-dsa-44');
  return {
    privateKey,
    spki: publicKey.export({ type: 'spki', format: 'der' }),
    pem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

interface Identity {
  certificate: Buffer;
  key: DeviceKey;
}

const post = (operation: string, body: Buffer, headers: Record<string, string>, identity?: Identity) =>
  httpsRequest(base, `/.well-known/est/${operation}`, {
    method: 'POST',
    headers: { 'content-type': 'application/pkcs10', ...headers },
    body: body.toString('base64'),
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
    ...(identity && { cert: toPem('CERTIFICATE', identity.certificate), key: identity.key.pem }),
  });

function certificateIn(answer: HttpsAnswer): Buffer {
  expect({ status: answer.status, text: answer.status === 200 ? '' : answer.text }).toEqual({ status: 200, text: '' });
  return readCertsOnly(Buffer.from(answer.text, 'base64'))[0] as Buffer;
}

const enroll = async ({ device, secret }: TestDevice, key: DeviceKey): Promise<Buffer> =>
  certificateIn(await post('simpleenroll', csrOf(device, key), { authorization: basic(device.id, secret) }));

async function isValid(der: Buffer): Promise<boolean> {
  const [root, ...others] = await est.issuers.chain();
  return validatePath({
    leaf: readCertificate(der),
    intermediates: others.map(({ certificate }) => readCertificate(certificate)),
    anchors: [{ subjectDer: root!.subjectDer, publicKey: root!.publicKey, set: 'own' }],
    at: db.clock.now(),
  }).ok;
}

describe('a request for an ML-KEM key (P54)', () => {
  const kemCsr = (device: TestDevice['device'], kem: DeviceKey, signer: Identity): Buffer =>
    csrOf(
      device,
      { ...kem, privateKey: signer.key.privateKey },
      {
        possession: { signer: readCertificate(signer.certificate), carried: true },
      },
    );

  test('is read with the certificate of the connection as proof, and refused by a profile that is for signatures', async () => {
    const made = await makeDevice(db, product);
    const key = keyOf('ec-p256');
    const identity = { certificate: await enroll(made, key), key };
    const answer = await post('simplereenroll', kemCsr(made.device, keyOf('ml-kem-768'), identity), {}, identity);
    expect([answer.status, answer.text]).toEqual([
      400,
      expect.stringMatching(/keys of type ml-kem-768 are not allowed/),
    ]);
  });

  test('is refused without that certificate, and with the certificate of another device', async () => {
    const [made, other] = [await makeDevice(db, product), await makeDevice(db, product)];
    const [key, otherKey] = [keyOf('ec-p256'), keyOf('ec-p256')];
    const identity = { certificate: await enroll(made, key), key };
    const stranger = { certificate: await enroll(other, otherKey), key: otherKey };
    const csr = kemCsr(made.device, keyOf('ml-kem-768'), identity);
    const byNobody = await post('simplereenroll', csr, {});
    const byAnother = await post('simplereenroll', csr, {}, stranger);
    expect([byNobody.status, byNobody.text]).toEqual([400, expect.stringMatching(/must be that of the connection/)]);
    expect([byAnother.status, byAnother.text]).toEqual([
      400,
      expect.stringMatching(/another certificate than that of/),
    ]);
  });

  test('is never proved to a first enrollment, whose certificate nobody has looked at', async () => {
    const made = await makeDevice(db, product);
    const key = keyOf('ec-p256');
    const self = await selfSigned('device');
    const signer = {
      certificate: Buffer.from(self.cert.replace(/-----[^-]+-----|\s/g, ''), 'base64'),
      key: { ...key, privateKey: createPrivateKey(self.key), pem: self.key },
    };
    const csr = kemCsr(made.device, keyOf('ml-kem-512'), signer);
    const answer = await post('simpleenroll', csr, { authorization: basic(made.device.id, made.secret) }, signer);
    expect([answer.status, answer.text]).toEqual([400, expect.stringMatching(/with the certificate that proves it/)]);
  });
});

describe('devices with ML-DSA keys under an ML-DSA-87 authority', () => {
  test.each(['ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const)(
    'enroll and renew with %s over TLS 1.3, by certificate and key of that type (P50, P51, P55)',
    async (keyType) => {
      const made = await makeDevice(db, product);
      const key = keyOf(keyType);
      const certificate = await enroll(made, key);
      const read = readCertificate(certificate);
      expect(read.publicKey.keyType).toBe(keyType);
      expect(read.keyUsage).toEqual(['digitalSignature']);
      const next = keyOf(keyType);
      const renewed = certificateIn(await post('simplereenroll', csrOf(made.device, next), {}, { certificate, key }));
      for (const der of [certificate, renewed]) expect(await isValid(der)).toBe(true);
      expect(readCertificate(renewed).publicKey.spki).toEqual(next.spki);
    },
  );

  test('get certificates that OpenSSL verifies without us, of which it says the same (P50)', async () => {
    const made = await makeDevice(db, product);
    const der = await enroll(made, keyOf('ml-dsa-65'));
    const issuing = await est.issuers.issuing();
    const certificate = new X509Certificate(der);
    expect(certificate.verify(issuing.publicKey.keyObject)).toBe(true);
    expect(certificate.verify((await est.issuers.root()).publicKey.keyObject)).toBe(false);
    expect(certificate.publicKey.asymmetricKeyType).toBe('ml-dsa-65');
    expect(certificate.checkIssued(new X509Certificate(issuing.certificate))).toBe(true);
    const { tbs, signature } = readCertificate(der);
    expect(verify(null, tbs, issuing.publicKey.keyObject, signature)).toBe(true);
  });

  test('may send the whole chain of ML-DSA-87 certificates in the handshake (P55)', async () => {
    const made = await makeDevice(db, product);
    const key = keyOf('ml-dsa-87');
    const certificate = await enroll(made, key);
    const chain = [certificate, ...(await est.issuers.chain()).map((one) => one.certificate)];
    const socket: TLSSocket = connect({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      cert: chain.map((der) => toPem('CERTIFICATE', der)).join(''),
      key: key.pem,
    });
    await once(socket, 'secureConnect');
    const body = csrOf(made.device, key).toString('base64');
    socket.write(
      `POST /.well-known/est/simplereenroll HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/pkcs10\r\n` +
        `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    );
    const parts: Buffer[] = [];
    socket.on('data', (part: Buffer) => parts.push(part));
    await once(socket, 'close');
    expect(Buffer.concat(parts).toString('latin1')).toMatch(/^HTTP\/1\.1 200 /);
    expect(chain.reduce((sum, der) => sum + der.length, 0)).toBeGreaterThan(20_000);
  });

  test('with a classical key are served by the same authority, and the other way round', async () => {
    const made = await makeDevice(db, product);
    const key = keyOf('ec-p256');
    const certificate = await enroll(made, key);
    const next = keyOf('ml-dsa-44');
    const renewed = certificateIn(await post('simplereenroll', csrOf(made.device, next), {}, { certificate, key }));
    expect(await isValid(renewed)).toBe(true);
  });

  test('are refused without proof of possession, as with every key (E60)', async () => {
    const made = await makeDevice(db, product);
    const csr = csrOf(made.device, keyOf('ml-dsa-65'));
    csr[csr.length - 7] = (csr[csr.length - 7] as number) ^ 1;
    const answer = await post('simpleenroll', csr, { authorization: basic(made.device.id, made.secret) });
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(/does not verify/);
  });
});
