import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { registerTransportKey } from '#authority';
import { decodeBody, readPkiResponse, type PkiResponse } from '#est';
import {
  contentInfo,
  der,
  DerReader,
  encodeAttribute,
  fromPem,
  OID,
  readCertificate,
  readCertsOnly,
  toPem,
} from '#pki';
import {
  control,
  encodePkiData,
  signFullRequest,
  taggedPkcs10,
  type FullRequest,
} from '../../libs/est/src/testing/cmc-client.js';
import { readKeyResponse } from '../../libs/est/src/testing/key-response-client.js';
import { certifyForEncryption, type Held } from '../est/encryption-certificate.js';
import { decideLabel, startEstServer, type EstServer } from '../est/est-server.js';
import type { HttpsAnswer } from '../est/https-request.js';
import { approveEnrollment } from '../harness/approve-enrollment.js';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { basic, csrOf, newKey } from '../harness/device.js';
import { makeDevice, makeEnrolled, makeProduct, type Product, type TestDevice } from '../harness/fixtures.js';
import { makeRa } from '../harness/registration-authority.js';
import { describeWith, run, succeed } from './program.js';

describeWith(['openssl'], 'openssl reads and writes what csrattrs, serverkeygen and fullcmc send', () => {
  let db: TestDatabase;
  let server: EstServer;
  let product: Product;
  let files: string;
  const at = (name: string): string => path.join(files, name);

  beforeAll(async () => {
    files = await mkdtemp(path.join(tmpdir(), 'tm-openssl-est-'));
    db = await startTestDatabase();
    product = await makeProduct(await db.context('api'), db.operator);
    server = await startEstServer(db);
    await decideLabel(db, 'all', { profile: 'device', operations: ['csrattrs', 'serverkeygen', 'fullcmc'] });
    await writeFile(at('server.pem'), server.tls.cert);
  });
  afterAll(async () => {
    await server.close();
    await db.stop();
    await rm(files, { recursive: true, force: true });
  });

  test('asn1parse follows csrattrs to its end (E122, E127)', async () => {
    const answer = await server.call('GET', '/.well-known/est/all/csrattrs');
    const tree = await succeed('openssl', ['asn1parse', '-inform', 'DER'], { input: decodeBody(answer.body) });
    expect(tree).toMatch(/1\.2\.840\.113549\.1\.9\.16\.2\.61/);
    expect(tree).not.toMatch(/error/i);
  });

  function ask({ device, secret }: TestDevice, keyAttribute: Buffer, capabilities: string[]): Promise<HttpsAnswer> {
    const offered = der.sequence(...capabilities.map((oid) => der.sequence(der.oid(oid))));
    const csr = csrOf(device, newKey(), {
      attributes: [keyAttribute, encodeAttribute(OID.smimeCapabilities, offered)],
    });
    return server.call('POST', '/.well-known/est/all/serverkeygen', {
      headers: { 'content-type': 'application/pkcs10', authorization: basic(device.id, secret) },
      body: csr.toString('base64'),
    });
  }

  /** Decrypts with these arguments, verifies who signed, and finds the key that the certificate is about. */
  async function expectOpened(answer: HttpsAnswer, recipient: string[]): Promise<void> {
    const [key, certificate] = readKeyResponse(answer.headers['content-type'], answer.body);
    await writeFile(at('sealed.der'), decodeBody(key!.body));
    const decrypt = ['cms', '-decrypt', '-inform', 'DER', '-binary', '-in', at('sealed.der'), '-out', at('signed.der')];
    await succeed('openssl', [...decrypt, ...recipient]);
    const signedData = await readFile(at('signed.der'));
    await writeFile(at('signed-info.der'), contentInfo(OID.signedData, signedData));
    await succeed('openssl', [
      ...['cms', '-verify', '-inform', 'DER', '-binary', '-in', at('signed-info.der'), '-out', at('package.der')],
      ...['-CAfile', at('server.pem'), '-purpose', 'any'],
    ]);
    const keyPackage = await readFile(at('package.der'));
    await writeFile(at('key.der'), DerReader.openSequence(keyPackage, 'key package').element());
    const spki = await run('openssl', ['pkey', '-inform', 'DER', '-in', at('key.der'), '-pubout', '-outform', 'DER']);
    const [issued] = readCertsOnly(decodeBody(certificate!.body));
    expect(readCertificate(issued!).publicKey.spki).toEqual(spki.stdout);
  }

  const named = (held: Held): Buffer =>
    encodeAttribute(
      OID.asymmetricDecryptKeyIdentifier,
      der.octetString(readCertificate(held.certificate).subjectKeyId!),
    );

  async function writeHeld({ certificate, privateKey }: Held): Promise<string[]> {
    await writeFile(at('device.pem'), toPem('CERTIFICATE', certificate));
    await writeFile(at('device.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    return ['-recip', at('device.pem'), '-inkey', at('device.key')];
  }

  test('cms -decrypt opens a key for an RSA certificate, and cms -verify the generator’s signature (E104, E105)', async () => {
    const made = await makeDevice(db, product);
    const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const held = await certifyForEncryption(server.est, made, pair, ['digitalSignature', 'keyEncipherment']);
    await expectOpened(await ask(made, named(held), [OID.rsaesOaep]), await writeHeld(held));
  });

  test('cms -decrypt opens a key for an EC certificate (E104, E105)', async () => {
    const made = await makeDevice(db, product);
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    const held = await certifyForEncryption(server.est, made, pair, ['digitalSignature', 'keyAgreement']);
    await expectOpened(await ask(made, named(held), [OID.aes256Wrap]), await writeHeld(held));
  });

  test('cms -decrypt opens a key for a symmetric key (E104, E105)', async () => {
    const made = await makeDevice(db, product);
    const [key, keyIdentifier] = [randomBytes(32), Buffer.from('key 7')];
    await registerTransportKey(await db.context('api'), db.operator, made.device.id, { keyIdentifier, key });
    const attribute = encodeAttribute(OID.decryptKeyIdentifier, der.octetString(keyIdentifier));
    const recipient = ['-secretkey', key.toString('hex'), '-secretkeyid', keyIdentifier.toString('hex')];
    await expectOpened(await ask(made, attribute, [OID.aes256Wrap]), recipient);
  });

  const postFull = (label: string, message: Buffer): Promise<HttpsAnswer> =>
    server.call('POST', `/.well-known/est/${label}/fullcmc`, {
      headers: { 'content-type': 'application/pkcs7-mime; smime-type=CMC-request' },
      body: message.toString('base64'),
    });

  /** What the signature of the server covers, as cms -verify gives it out. */
  async function verified(answer: HttpsAnswer): Promise<PkiResponse> {
    await writeFile(at('answer.der'), decodeBody(answer.body));
    const { stdout, status } = await run('openssl', [
      ...['cms', '-verify', '-inform', 'DER', '-binary', '-in', at('answer.der'), '-CAfile', at('server.pem')],
      ...['-purpose', 'any', '-certsout', at('issued.pem')],
    ]);
    expect(status).toBe(0);
    return readPkiResponse(stdout);
  }

  test('cms -verify reads the answers to an RA and to a query, and verify the certificate with what comes along (E131)', async () => {
    const authentication = ['ra'] as ['ra'];
    await decideLabel(db, 'gate', { profile: 'device', authentication, approval: true, operations: ['fullcmc'] });
    const [ra, { device }] = [await makeRa(db, product), await makeDevice(db, product)];
    const signer = { certificate: ra.certificate, privateKey: ra.key.privateKey };
    const send = async (request: FullRequest) =>
      verified(await postFull('gate', signFullRequest(encodePkiData(request), signer, new Date())));
    const [waits] = (await send({ requests: [taggedPkcs10(1, csrOf(device, newKey()))] })).statuses;
    expect(waits).toMatchObject({ status: 'pending', bodyList: [1] });
    await approveEnrollment(db, device.id);
    const query = control(1, OID.cmcQueryPending, der.octetString(waits!.pending!.token));
    expect((await send({ controls: [query] })).statuses).toMatchObject([{ status: 'success', bodyList: [1] }]);
    const issued = fromPem(await readFile(at('issued.pem'), 'utf8'));
    const leaf = issued.find((one) =>
      readCertificate(one)
        .subject.flat()
        .some(({ value }) => value === device.id),
    );
    const root = await server.est.issuers.root();
    await writeFile(at('leaf.pem'), toPem('CERTIFICATE', leaf!));
    await writeFile(at('root.pem'), toPem('CERTIFICATE', root.certificate));
    const path = ['-CAfile', at('root.pem'), '-untrusted', at('issued.pem')];
    expect(await succeed('openssl', ['verify', ...path, at('leaf.pem')])).toContain('OK');
  });

  test('cms -sign makes a full request, and cms -verify reads the answer (E131)', async () => {
    const { device, certificate, key } = await makeEnrolled(db, product);
    await writeFile(at('own.pem'), toPem('CERTIFICATE', certificate));
    await writeFile(at('own.key'), key.pem);
    await writeFile(at('pkidata.der'), encodePkiData({ requests: [taggedPkcs10(1, csrOf(device, newKey()))] }));
    const { stdout: message } = await run('openssl', [
      ...['cms', '-sign', '-binary', '-nodetach', '-outform', 'DER', '-econtent_type', '1.3.6.1.5.5.7.12.2'],
      ...['-in', at('pkidata.der'), '-signer', at('own.pem'), '-inkey', at('own.key')],
    ]);
    const answer = await postFull('all', message);
    expect(answer.status).toBe(200);
    expect((await verified(answer)).statuses).toMatchObject([{ status: 'success', bodyList: [1] }]);
    expect(await succeed('openssl', ['crl2pkcs7', '-nocrl', '-certfile', at('issued.pem')])).toContain('PKCS7');
  });
});
