import { generateKeyPairSync, sign } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { createEst } from '#apps/est';
import { loadConfig } from '#kernel';
import { der, OID } from '#pki';
import { silent, startTestDatabase, type TestDatabase } from '../harness/database.js';
import { basic, csrOf, newKey } from '../harness/device.js';
import { makeDevice, type TestDevice } from '../harness/fixtures.js';
import { httpsRequest, type HttpsAnswer } from './https-request.js';
import { selfSigned } from './self-signed.js';

let db: TestDatabase;
let app: Awaited<ReturnType<typeof createEst>>;
let made: TestDevice;

beforeAll(async () => {
  db = await startTestDatabase();
  made = await makeDevice(db);
  app = await createEst({
    config: loadConfig({}),
    authority: await db.context('est'),
    tls: await selfSigned(),
    cacerts: () => Promise.resolve([]),
    registry: new Registry(),
    log: silent,
    readiness: () => Promise.resolve([]),
  });
  await app.listen(0, '127.0.0.1');
});
afterAll(async () => {
  await app.close();
  await db.stop();
});

const enroll = (csr: Buffer): Promise<HttpsAnswer> =>
  httpsRequest(
    `https://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`,
    '/.well-known/est/simpleenroll',
    {
      method: 'POST',
      headers: { 'content-type': 'application/pkcs10', authorization: basic(made.device.id, made.secret) },
      body: csr.toString('base64'),
      rejectUnauthorized: false,
    },
  );

const key = newKey();
/** A request for any key, signed by a good one: the key is judged before the proof. */
function requestFor(spki: Buffer): Buffer {
  const info = der.sequence(der.integer(0), der.sequence(), spki, der.constructed(0));
  return der.sequence(
    info,
    der.sequence(der.oid(OID.ecdsaWithSha256)),
    der.bitString(sign('sha256', info, key.privateKey)),
  );
}
const rsa = (modulus: bigint, exponent: bigint): Buffer =>
  der.sequence(
    der.sequence(der.oid(OID.rsaEncryption), der.null()),
    der.bitString(der.sequence(der.integer(modulus), der.integer(exponent))),
  );
const plain = (oid: string, octets: Buffer): Buffer => der.sequence(der.sequence(der.oid(oid)), der.bitString(octets));
const ec = (point: Buffer): Buffer =>
  der.sequence(der.sequence(der.oid(OID.ecPublicKey), der.oid(OID.secp256r1)), der.bitString(point));

const jwk = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' });
const sound = BigInt(`0x${Buffer.from(jwk.n ?? '', 'base64url').toString('hex')}`);
const point = key.spki.subarray(-65);
const offCurve = Buffer.from(point);
offCurve[64] = (offCurve[64] as number) ^ 1;

describe('a weak key is refused with a text that says what to do, and nothing is issued (E73, EX10)', () => {
  test.each([
    ['RSA of 1024 bits', rsa((sound >> 1024n) | 1n, 65537n), /1024 bits; use 2048/],
    ['RSA of 2432 bits', rsa(2n ** 2431n + 165n, 65537n), /use 2048, 3072 or 4096/],
    ['RSA above 4096 bits', rsa(2n ** 4096n + 1n, 65537n), /4097 bits; use 2048/],
    ['RSA with exponent 1', rsa(sound, 1n), /use 65537/],
    ['RSA with exponent 3', rsa(sound, 3n), /use 65537/],
    ['RSA with an even exponent', rsa(sound, 65538n), /use 65537/],
    ['RSA with an exponent of 33 bits', rsa(sound, 2n ** 32n + 1n), /use 65537/],
    ['EC off its curve', ec(offCurve), /not on its curve; make a new key/],
    [
      'EC compressed',
      ec(Buffer.concat([Buffer.of(2 + ((point[64] as number) & 1)), point.subarray(1, 33)])),
      /uncompressed/,
    ],
    ['EC at infinity', ec(Buffer.of(0)), /make a new one/],
    ['Ed25519 of small order', plain(OID.ed25519, Buffer.alloc(32)), /small order/],
    ['ML-DSA of the wrong length', plain(OID.mlDsa65, Buffer.alloc(1951)), /1951 octets .*1952/],
  ])('%s', async (_, spki, text) => {
    const serials = async () => (await db.sql('select 1 from serials')).length;
    const before = [await serials(), (await db.sql(`select 1 from audit where outcome = 'refused'`)).length] as const;
    const answer = await enroll(requestFor(spki));
    expect([answer.status, answer.text]).toEqual([400, expect.stringMatching(text)]);
    expect(await serials()).toBe(before[0]);
    expect(await db.sql(`select 1 from audit where outcome = 'refused'`)).toHaveLength(before[1] + 1);
  });

  test('and the secret is still good for a key that is', async () => {
    expect((await enroll(csrOf(made.device, key))).status).toBe(200);
  });
});
