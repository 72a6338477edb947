import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, webcrypto } from 'node:crypto';
import { fromBER } from 'asn1js';
import * as pkijs from 'pkijs';
import { registerTransportKey, removeTransportKey, revokeCertificate } from '#authority';
import { sealContext, sealToBox } from '#credential';
import { decodeBody } from '#est';
import {
  contentInfo,
  der,
  DerReader,
  encodeAttribute,
  fromPem,
  OID,
  readCertificate,
  readCertsOnly,
  readSignedData,
  verifySigner,
} from '#pki';
import { readKeyResponse } from '../../libs/est/src/testing/key-response-client.js';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { basic, csrOf, newKey } from '../harness/device.js';
import { makeDevice, makeProduct, type Product, type TestDevice } from '../harness/fixtures.js';
import { certifyForEncryption, type Held } from './encryption-certificate.js';
import { decideLabel, startEstServer, type EstServer } from './est-server.js';
import type { HttpsAnswer } from './https-request.js';

const bytes = (buffer: Buffer): ArrayBuffer => new Uint8Array(buffer).buffer;
let db: TestDatabase;
let server: EstServer;
let product: Product;

beforeAll(async () => {
  pkijs.setEngine('node', new pkijs.CryptoEngine({ name: 'node', crypto: webcrypto as never }));
  db = await startTestDatabase();
  product = await makeProduct(await db.context('api'), db.operator);
  server = await startEstServer(db);
  await decideLabel(db, 'keys', { operations: ['serverkeygen'] });
});
afterAll(async () => {
  await server.close();
  await db.stop();
});

const capability = (oid: string, parameters?: Buffer): Buffer =>
  der.sequence(der.oid(oid), ...(parameters === undefined ? [] : [parameters]));

function ask(made: TestDevice, keyId: Buffer, capabilities: Buffer[], more: Buffer[] = []): Promise<HttpsAnswer> {
  const csr = csrOf(made.device, newKey(), {
    attributes: [
      encodeAttribute(OID.asymmetricDecryptKeyIdentifier, der.octetString(keyId)),
      encodeAttribute(OID.smimeCapabilities, der.sequence(...capabilities)),
      ...more,
    ],
  });
  return server.call('POST', '/.well-known/est/keys/serverkeygen', {
    headers: { 'content-type': 'application/pkcs10', authorization: basic(made.device.id, made.secret) },
    body: csr.toString('base64'),
  });
}

/** As a device does it: by pkijs, with its own key; then whose signature is on it. */
async function open(answer: HttpsAnswer, held: Held): Promise<{ key: Buffer; certificate: Buffer }> {
  expect({ status: answer.status, text: answer.text.slice(0, 2) }).toEqual({ status: 200, text: '--' });
  const [key, certificate] = readKeyResponse(answer.headers['content-type'], answer.body);
  expect(key?.type).toBe('application/pkcs7-mime; smime-type=server-generated-key');
  const info = new pkijs.ContentInfo({ schema: fromBER(bytes(decodeBody(key!.body))).result });
  const enveloped = new pkijs.EnvelopedData({ schema: info.content });
  const clear = await enveloped.decrypt(0, {
    recipientCertificate: pkijs.Certificate.fromBER(bytes(held.certificate)),
    recipientPrivateKey: bytes(held.privateKey.export({ type: 'pkcs8', format: 'der' })),
  });
  const message = readSignedData(contentInfo(OID.signedData, Buffer.from(clear)));
  const [own] = fromPem(server.tls.cert);
  expect(message.certificates).toContainEqual(own);
  expect(verifySigner(message, message.signers[0]!, readCertificate(own!).publicKey)).toBe(true);
  const [issued] = readCertsOnly(decodeBody(certificate!.body));
  return { key: DerReader.openSequence(message.content, 'key package').element(), certificate: issued! };
}

const spkiOf = (pkcs8: Buffer): Buffer => {
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  return createPublicKey(key).export({ type: 'spki', format: 'der' });
};

describe('a private key that is encrypted to a certificate of the device', () => {
  it('goes by RSA-OAEP to an RSA key, signed by the server (E104, E105)', async () => {
    const made = await makeDevice(db, product);
    const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const held = await certifyForEncryption(server.est, made, pair, ['digitalSignature', 'keyEncipherment']);
    const keyId = readCertificate(held.certificate).subjectKeyId!;
    const { key, certificate } = await open(await ask(made, keyId, [capability(OID.rsaesOaep)]), held);
    expect(readCertificate(certificate).publicKey.spki).toEqual(spkiOf(key));
    // E107, EX25: what is not offered is not used, and nothing goes in clear in its place.
    const again = await makeDevice(db, product);
    const heldAgain = await certifyForEncryption(server.est, again, pair, ['digitalSignature', 'keyEncipherment']);
    const refused = await ask(again, readCertificate(heldAgain.certificate).subjectKeyId!, [
      capability(OID.aes256Wrap),
    ]);
    expect({ status: refused.status, text: refused.text }).toEqual({
      status: 400,
      text: expect.stringMatching(/OAEP/),
    });
  });

  it.each([
    ['a wrap alone', capability(OID.aes128Wrap)],
    ['the wrap of a key agreement', capability(OID.ecdhSha256Kdf, der.sequence(der.oid(OID.aes256Wrap)))],
  ])('goes by ECDH to an EC key, with %s offered (E104, E105, E107)', async (_, offered) => {
    const made = await makeDevice(db, product);
    const held = await certifyForEncryption(server.est, made, generateKeyPairSync('ec', { namedCurve: 'P-256' }), [
      'digitalSignature',
      'keyAgreement',
    ]);
    const keyId = readCertificate(held.certificate).subjectKeyId!;
    const { key, certificate } = await open(await ask(made, keyId, [offered]), held);
    expect(readCertificate(certificate).publicKey.spki).toEqual(spkiOf(key));
  });

  it('is refused for a certificate that must not encrypt (E108)', async () => {
    const made = await makeDevice(db, product);
    const held = await certifyForEncryption(server.est, made, generateKeyPairSync('ec', { namedCurve: 'P-256' }), [
      'digitalSignature',
    ]);
    const answer = await ask(made, readCertificate(held.certificate).subjectKeyId!, [capability(OID.aes256Wrap)]);
    expect({ status: answer.status, text: answer.text }).toEqual({
      status: 400,
      text: expect.stringMatching(/keyAgreement/),
    });
  });

  it('is refused for a revoked certificate, and for that of another device (E106)', async () => {
    const [made, other] = [await makeDevice(db, product), await makeDevice(db, product)];
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const held = await certifyForEncryption(server.est, made, pair, ['digitalSignature', 'keyAgreement']);
    const { subjectKeyId, serial } = readCertificate(held.certificate);
    expect((await ask(other, subjectKeyId!, [capability(OID.aes256Wrap)])).status).toBe(400);
    const { seq } = await revokeCertificate(await db.context('api'), db.operator, serial, { reason: 'superseded' });
    await server.est.follower.catchUp(seq);
    const answer = await ask(made, subjectKeyId!, [capability(OID.aes256Wrap)]);
    expect({ status: answer.status, text: answer.text }).toEqual({
      status: 400,
      text: expect.stringMatching(/not known/),
    });
  });

  it('is refused for two keys at once', async () => {
    const made = await makeDevice(db, product);
    const both = encodeAttribute(OID.decryptKeyIdentifier, der.octetString(Buffer.of(1)));
    expect((await ask(made, Buffer.of(1), [capability(OID.aes256Wrap)], [both])).status).toBe(400);
  });
});

describe('a private key that is encrypted to a symmetric key of the device', () => {
  const keyIdentifier = Buffer.from('key 7');

  async function register(made: TestDevice, size: 16 | 32): Promise<Buffer> {
    const key = randomBytes(size);
    await registerTransportKey(await db.context('api'), db.operator, made.device.id, { keyIdentifier, key });
    return key;
  }

  function askFor(made: TestDevice, id: Buffer, capabilities: Buffer[]): Promise<HttpsAnswer> {
    const csr = csrOf(made.device, newKey(), {
      attributes: [
        encodeAttribute(OID.decryptKeyIdentifier, der.octetString(id)),
        encodeAttribute(OID.smimeCapabilities, der.sequence(...capabilities)),
      ],
    });
    return server.call('POST', '/.well-known/est/keys/serverkeygen', {
      headers: { 'content-type': 'application/pkcs10', authorization: basic(made.device.id, made.secret) },
      body: csr.toString('base64'),
    });
  }

  it.each([
    [16, OID.aes128Wrap],
    [32, OID.aes256Wrap],
  ] as const)('of %i octets, which an operator registered (E104, E105)', async (size, wrap) => {
    const made = await makeDevice(db, product);
    const key = await register(made, size);
    const answer = await askFor(made, keyIdentifier, [capability(wrap)]);
    const parts = readKeyResponse(answer.headers['content-type'], answer.body);
    const info = new pkijs.ContentInfo({ schema: fromBER(bytes(decodeBody(parts[0]!.body))).result });
    const enveloped = new pkijs.EnvelopedData({ schema: info.content });
    const clear = await enveloped.decrypt(0, { preDefinedData: bytes(key) });
    const message = readSignedData(contentInfo(OID.signedData, Buffer.from(clear)));
    const pkcs8 = DerReader.openSequence(message.content, 'key package').element();
    const [issued] = readCertsOnly(decodeBody(parts[1]!.body));
    expect(readCertificate(issued!).publicKey.spki).toEqual(spkiOf(pkcs8));
  });

  it('is refused under another identifier, for another device, with another wrap, and once the key is removed (E106, E107)', async () => {
    const [made, other] = [await makeDevice(db, product), await makeDevice(db, product)];
    await register(made, 32);
    const refused = async (attempt: Promise<HttpsAnswer>, text: RegExp) => {
      const answer = await attempt;
      expect({ status: answer.status, text: answer.text }).toEqual({ status: 400, text: expect.stringMatching(text) });
    };
    await refused(askFor(made, Buffer.from('key 8'), [capability(OID.aes256Wrap)]), /not known/);
    await refused(askFor(other, keyIdentifier, [capability(OID.aes256Wrap)]), /not known/);
    await refused(askFor(made, keyIdentifier, [capability(OID.aes128Wrap)]), /aes256-wrap/);
    await removeTransportKey(await db.context('api'), db.operator, made.device.id, keyIdentifier);
    await refused(askFor(made, keyIdentifier, [capability(OID.aes256Wrap)]), /not known/);
  });

  it('is not sealed to a key that was removed, or replaced, and put back by SQL', async () => {
    const made = await makeDevice(db, product);
    const api = await db.context('api');
    const saved = async () => {
      await register(made, 32);
      const [row] = await db.sql<{ sealed: Buffer; mac: Buffer }>(
        'select sealed, mac from device_transport_keys where device_id = $1',
        [made.device.id],
      );
      return row!;
    };
    const putBack = async ({ sealed, mac }: { sealed: Buffer; mac: Buffer }) => {
      const database = await db.as('api');
      const scope = { organizationId: db.authorityId, authority: true };
      await database.transaction(
        async (tx) => {
          await tx.run('delete from device_transport_keys where device_id = $1', [made.device.id]);
          await tx.run(
            `insert into device_transport_keys (device_id, key_identifier, bits, sealed, mac, owner_org_id, issuer_org_id)
           select id, $2, 256, $3, $4, owner_org_id, issuer_org_id from devices where id = $1`,
            [made.device.id, keyIdentifier, sealed, mac],
          );
        },
        { scope },
      );
    };
    const [first, second] = [await saved(), await saved()];
    await putBack(first);
    expect((await askFor(made, keyIdentifier, [capability(OID.aes256Wrap)])).status).toBe(400);
    await putBack(second);
    await removeTransportKey(api, db.operator, made.device.id, keyIdentifier);
    await putBack(second);
    expect((await askFor(made, keyIdentifier, [capability(OID.aes256Wrap)])).status).toBe(400);
    await register(made, 32);
    expect((await askFor(made, keyIdentifier, [capability(OID.aes256Wrap)])).status).toBe(200);
  });

  it('is not sealed to a key that somebody planted, nor to one that was moved to another device', async () => {
    const [made, other] = [await makeDevice(db, product), await makeDevice(db, product)];
    const { transportPublicKey, transportPrivateKey } = await db.context('api');
    expect(transportPrivateKey).toBeUndefined();
    const context = sealContext('transportKey', {
      deviceId: made.device.id,
      keyIdentifier: keyIdentifier.toString('hex'),
    });
    const plant = `insert into device_transport_keys (device_id, key_identifier, bits, sealed, mac, owner_org_id, issuer_org_id)
       select id, $2, 256, $3, $4, owner_org_id, issuer_org_id from devices where id = $1`;
    const sealed = sealToBox(transportPublicKey!, randomBytes(32), context);
    await db.sql(plant, [made.device.id, keyIdentifier, sealed, randomBytes(32)]);
    expect((await askFor(made, keyIdentifier, [capability(OID.aes256Wrap)])).status).toBe(500);
    await register(made, 32);
    const [good] = await db.sql<{ sealed: Buffer; mac: Buffer }>(
      'select sealed, mac from device_transport_keys where device_id = $1',
      [made.device.id],
    );
    await db.sql(plant, [other.device.id, keyIdentifier, good!.sealed, good!.mac]);
    expect((await askFor(other, keyIdentifier, [capability(OID.aes256Wrap)])).status).toBe(500);
  });
});
