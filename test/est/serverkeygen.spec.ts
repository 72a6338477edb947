import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID, X509Certificate } from 'node:crypto';
import { currentProfile, reconcileIntents, resetDevice, revokeCertificate } from '#authority';
import { decodeBody } from '#est';
import { encodeAttribute, der, OID, readCertificate, readCertsOnly, toPem } from '#pki';
import { renewalWindow } from '#policy';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { basic, csrOf, newKey } from '../harness/device.js';
import { makeDevice, makeEnrolled, makeProduct, type Product, type TestDevice } from '../harness/fixtures.js';
import { makeKey } from '../../libs/authority/src/enrollment/key-maker.js';
import { readKeyResponse } from '../../libs/est/src/testing/key-response-client.js';
import { seededNumbers } from '../../libs/pki/src/testing/issuing.js';
import { mutateDer } from './der-mutants.js';
import { decideLabel, startEstServer, type EstServer } from './est-server.js';
import type { HttpsAnswer } from './https-request.js';

let db: TestDatabase;
let server: EstServer;
let product: Product;

beforeAll(async () => {
  db = await startTestDatabase();
  product = await makeProduct(await db.context('api'), db.operator);
  server = await startEstServer(db);
  await decideLabel(db, 'keys', { operations: ['csrattrs', 'serverkeygen'], profile: 'device' });
});
afterAll(async () => {
  await server.close();
  await db.stop();
});

const PATH = '/.well-known/est/keys/serverkeygen';
const post = (csr: Buffer, options: Parameters<EstServer['call']>[2] = {}, path = PATH): Promise<HttpsAnswer> =>
  server.call('POST', path, {
    ...options,
    headers: { 'content-type': 'application/pkcs10', ...options.headers },
    body: csr.toString('base64'),
  });
const bySecret = ({ device, secret }: TestDevice, csr: Buffer, path = PATH) =>
  post(csr, { headers: { authorization: basic(device.id, secret) } }, path);
const byCertificate = (certificate: Buffer, pem: string, csr: Buffer) =>
  post(csr, { cert: toPem('CERTIFICATE', certificate), key: pem });

function opened(answer: HttpsAnswer): { type: string; key: Buffer; certificate: Buffer } {
  expect({ status: answer.status, text: answer.text.slice(0, 2) }).toEqual({ status: 200, text: '--' });
  const [key, certificate] = readKeyResponse(answer.headers['content-type'], answer.body);
  const [der] = readCertsOnly(decodeBody(certificate!.body));
  return { type: key!.type, key: decodeBody(key!.body), certificate: der! };
}

function windowOf(certificate: Buffer): string {
  const { serial, notBefore, notAfter } = readCertificate(certificate);
  const { start, end } = renewalWindow({ serial: Buffer.from(serial, 'hex'), notBefore, notAfter });
  return `start=${start.getTime() / 1000}, end=${end.getTime() / 1000}`;
}

const spkiOf = (pkcs8: Buffer): Buffer =>
  createPublicKey(createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })).export({
    type: 'spki',
    format: 'der',
  });

const statusOf = async (certificate: Buffer) =>
  (
    await db.sql<{ status: string; reason: string }>(
      `select status, reason from status_changes where kind = 'certificate' and subject = $1 order by seq desc limit 1`,
      [readCertificate(certificate).serial],
    )
  )[0];
const certificatesOf = async ({ device }: TestDevice): Promise<number> =>
  (await db.sql(`select 1 from certificates where device_id = $1`, [device.id])).length;
const refusals = async (operation: string): Promise<number> =>
  (
    await db.sql(
      `select 1 from audit where action = 'certificate.requested' and outcome = 'refused'
       and convert_from(canonical, 'UTF8') like '%' || $1 || '%'`,
      [operation],
    )
  ).length;

describe('a key that the server makes', () => {
  it('is not made where the label does not offer it (E10, E100)', async () => {
    const made = await makeDevice(db, product);
    const answer = await bySecret(made, csrOf(made.device, newKey()), '/.well-known/est/serverkeygen');
    expect(answer.status).toBe(404);
  });

  it('comes with a certificate of the names and key, in clear inside TLS where nothing else is asked (E102, E103)', async () => {
    const made = await makeDevice(db, product);
    const answer = await bySecret(made, csrOf(made.device, newKey('P-384')));
    const { type, key, certificate } = opened(answer);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(type).toBe('application/pkcs8');
    expect(answer.headers['renewal-window']).toBe(windowOf(certificate));
    const read = readCertificate(certificate);
    expect(read.publicKey.keyType).toBe('ec-p384');
    expect(read.publicKey.spki).toEqual(spkiOf(key));
    expect(read.san).toEqual([{ type: 'uri', value: `urn:uuid:${made.device.instanceId}` }]);
    expect(
      new X509Certificate(certificate).checkPrivateKey(createPrivateKey({ key, format: 'der', type: 'pkcs8' })),
    ).toBe(true);
  });

  it('has nothing of the key in the request, whose signature may be wrong (E101)', async () => {
    const made = await makeDevice(db, product);
    const asked = newKey();
    const csr = csrOf(made.device, asked);
    csr[csr.length - 1] = (csr.at(-1) as number) ^ 1;
    const { certificate } = opened(await bySecret(made, csr));
    expect(readCertificate(certificate).publicKey.spki).not.toEqual(asked.spki);
  });

  it.each(['rsa-2048', 'ed25519', 'ml-dsa-65'])(
    'is of the kind that the request shows, or of the first that the profile has: %s',
    async (kind) => {
      const made = await makeDevice(db, product);
      const pair =
        kind === 'rsa-2048'
          ? generateKeyPairSync('rsa', { modulusLength: 2048 })
          : generateKeyPairSync(kind as 'ed25519');
      const key = {
        privateKey: pair.privateKey,
        spki: pair.publicKey.export({ type: 'spki', format: 'der' }),
        pem: '',
      };
      const { certificate } = opened(await bySecret(made, csrOf(made.device, key)));
      const { keyType } = readCertificate(certificate).publicKey;
      expect(keyType).toBe(
        currentProfile(server.est, 'device').keyTypes.includes(kind as 'ed25519') ? kind : 'ec-p256',
      );
    },
  );

  it('is asked for with the own certificate too, under the names of that one', async () => {
    const enrolled = await makeEnrolled(db, product);
    const { certificate } = opened(
      await byCertificate(enrolled.certificate, enrolled.key.pem, csrOf(enrolled.device, newKey())),
    );
    expect(readCertificate(certificate).san).toEqual(readCertificate(enrolled.certificate).san);
    const other = csrOf({ id: randomUUID(), instanceId: randomUUID() }, newKey());
    const refused = await byCertificate(enrolled.certificate, enrolled.key.pem, other);
    expect({ status: refused.status, text: refused.text }).toEqual({
      status: 400,
      text: expect.stringMatching(/not that of the certificate being renewed/),
    });
  });

  it('is stored nowhere and told to nobody else (E109)', async () => {
    const made = await makeDevice(db, product);
    const { key } = opened(await bySecret(made, csrOf(made.device, newKey())));
    const secret = createPrivateKey({ key, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' }).d as string;
    const raw = Buffer.from(secret, 'base64url');
    const dump = await db.dump();
    for (const form of [
      raw.toString('hex'),
      raw.toString('base64'),
      secret,
      key.toString('base64'),
      key.toString('hex'),
    ]) {
      expect(dump).not.toContain(form);
    }
  });
});

describe('RSA keys', () => {
  it('are made two at a time; a third request is asked to come back, and other kinds are not held up', async () => {
    const { est } = server;
    const three = await Promise.allSettled([1, 2, 3].map(() => makeKey(est, 'rsa-2048')));
    expect(three.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(three[2]).toMatchObject({ reason: { kind: 'unavailable', code: 'keyGenerationBusy', retryAfter: 2 } });
    const busy = [makeKey(est, 'rsa-2048'), makeKey(est, 'rsa-2048')];
    expect((await makeKey(est, 'ec-p256')).keyType).toBe('ec-p256');
    await Promise.all(busy);
    expect((await makeKey(est, 'rsa-2048')).keyType).toBe('rsa-2048');
  });
});

describe('an answer that was lost', () => {
  it('is another key the next time, and the certificate of the lost one is revoked (E109)', async () => {
    const made = await makeDevice(db, product);
    const csr = csrOf(made.device, newKey());
    const first = opened(await bySecret(made, csr));
    const second = opened(await bySecret(made, csr));
    const third = opened(await bySecret(made, csr));
    expect(new Set([first, second, third].map(({ key }) => key.toString('hex'))).size).toBe(3);
    expect(await statusOf(first.certificate)).toMatchObject({ status: 'revoked', reason: 'superseded' });
    expect(await statusOf(second.certificate)).toMatchObject({ status: 'revoked', reason: 'superseded' });
    expect(await statusOf(third.certificate)).toBeUndefined();
  });

  it('is no answer any more after a reset: the secret of before makes no further key (EX26)', async () => {
    const made = await makeDevice(db, product);
    const csr = csrOf(made.device, newKey());
    opened(await bySecret(made, csr));
    await resetDevice(await db.context('api'), db.operator, made.device.id);
    const answer = await bySecret(made, csr);
    expect({ status: answer.status, text: answer.text }).toEqual({
      status: 401,
      text: expect.stringMatching(/secret/),
    });
    expect(await certificatesOf(made)).toBe(1);
  });

  it('is so for a device with a certificate, which stays good itself (E109)', async () => {
    const enrolled = await makeEnrolled(db, product);
    const ask = async () =>
      opened(await byCertificate(enrolled.certificate, enrolled.key.pem, csrOf(enrolled.device, newKey())));
    const first = await ask();
    const second = await ask();
    expect(await statusOf(first.certificate)).toMatchObject({ status: 'revoked', reason: 'superseded' });
    expect(await statusOf(second.certificate)).toBeUndefined();
    expect(await statusOf(enrolled.certificate)).toBeUndefined();
  });

  it('is not repeated with other names, by another operation, or long after (EX26)', async () => {
    const made = await makeDevice(db, product);
    const csr = csrOf(made.device, newKey());
    opened(await bySecret(made, csr));
    expect(
      (await bySecret(made, csrOf(made.device, newKey(), { san: [{ type: 'dns', value: 'x.example' }] }))).status,
    ).toBe(401);
    expect((await bySecret(made, csr, '/.well-known/est/simpleenroll')).status).toBe(401);
    await db.tamper(`update certificates set created_at = now() - interval '11 minutes' where device_id = $1`, [
      made.device.id,
    ]);
    expect((await bySecret(made, csr)).status).toBe(401);
    expect(await certificatesOf(made)).toBe(1);
  });

  it('revoked by an operator is not given again', async () => {
    const made = await makeDevice(db, product);
    const csr = csrOf(made.device, newKey());
    const { certificate } = opened(await bySecret(made, csr));
    await revokeCertificate(await db.context('api'), db.operator, readCertificate(certificate).serial, {
      reason: 'keyCompromise',
    });
    expect((await bySecret(made, csr)).status).toBe(403);
  });

  it('that was never signed is abandoned, and its secret is free again: the key is gone', async () => {
    const made = await makeDevice(db, product);
    const csr = csrOf(made.device, newKey());
    const { signer } = server.est;
    server.est.signer = { ...signer, sign: () => Promise.reject(new Error('the signer is gone')) };
    try {
      expect((await bySecret(made, csr)).status).toBe(500);
    } finally {
      server.est.signer = signer;
    }
    const again = await bySecret(made, csr);
    expect({ status: again.status, after: again.headers['retry-after'] }).toEqual({ status: 503, after: '5' });
    const worker = await db.context('worker');
    expect(await reconcileIntents(worker, 0)).toMatchObject({ abandoned: 1, signed: 0 });
    opened(await bySecret(made, csr));
  });
});

describe('bad input at serverkeygen', () => {
  const good = (made: TestDevice) => csrOf(made.device, newKey());
  const withKeyId = (made: TestDevice, type: string, id: Buffer, capabilities?: string[]) =>
    csrOf(made.device, newKey(), {
      attributes: [
        encodeAttribute(type, der.octetString(id)),
        ...(capabilities === undefined
          ? []
          : [
              encodeAttribute(
                OID.smimeCapabilities,
                der.sequence(...capabilities.map((oid) => der.sequence(der.oid(oid)))),
              ),
            ]),
      ],
    });

  it.each<[string, (made: TestDevice) => Promise<HttpsAnswer>, number, RegExp]>([
    ['no credentials (EX11)', (made) => post(good(made)), 401, /Basic/],
    [
      'a wrong secret (EX12)',
      (made) => post(good(made), { headers: { authorization: basic(made.device.id, 'x') } }),
      401,
      /wrong, expired or used/,
    ],
    [
      'a header that cannot be read (EX13)',
      (made) => post(good(made), { headers: { authorization: 'Basic !' } }),
      400,
      /Authorization/,
    ],
    ['broken DER (EX02)', (made) => bySecret(made, good(made).subarray(0, 40)), 400, /CSR/],
    ['octets behind the CSR (EX03)', (made) => bySecret(made, Buffer.concat([good(made), Buffer.of(0)])), 400, /CSR/],
    [
      'another media type (EX04)',
      (made) => post(good(made), { headers: { 'content-type': 'text/plain' } }),
      415,
      /application\/pkcs10/,
    ],
    ['an empty body (EX05)', (made) => bySecret(made, Buffer.alloc(0)), 400, /empty/],
    ['a body above the limit (EX06)', (made) => bySecret(made, Buffer.alloc(60_000)), 413, /larger/],
    [
      'an unknown symmetric key (E106, EX24)',
      (made) => bySecret(made, withKeyId(made, OID.decryptKeyIdentifier, Buffer.of(7), [OID.aes256Wrap])),
      400,
      /not known here/,
    ],
    [
      'an unknown asymmetric key (E106, EX24)',
      (made) => bySecret(made, withKeyId(made, OID.asymmetricDecryptKeyIdentifier, Buffer.of(7), [OID.aes256Wrap])),
      400,
      /not known here/,
    ],
    [
      'encryption without SMIMECapabilities (E107, EX25)',
      (made) => bySecret(made, withKeyId(made, OID.asymmetricDecryptKeyIdentifier, Buffer.of(7))),
      400,
      /SMIMECapabilities/,
    ],
    [
      'a name that is not the device’s (EX18)',
      (made) => bySecret(made, csrOf(made.device, newKey(), { san: [{ type: 'dns', value: 'example.org' }] })),
      403,
      /subjectAltName/,
    ],
    [
      'a challengePassword of another connection (EX22)',
      (made) => bySecret(made, csrOf(made.device, newKey(), { challengePassword: 'AAAA' })),
      400,
      /Linking/,
    ],
    [
      'a control character in a name (EX30)',
      (made) =>
        bySecret(made, csrOf(made.device, newKey(), { subject: [[{ type: OID.commonName, value: 'a\u0007' }]] })),
      400,
      /control character/,
    ],
  ])('%s: refused with a reason, audited, nothing issued', async (_, attempt, status, text) => {
    const made = await makeDevice(db, product);
    const before = await refusals('serverkeygen');
    const answer = await attempt(made);
    expect({ status: answer.status, text: answer.text }).toEqual({ status, text: expect.stringMatching(text) });
    expect(answer.headers['content-type']).toMatch(/^text\/plain/);
    expect(await certificatesOf(made)).toBe(0);
    if (status !== 415) expect(await refusals('serverkeygen')).toBeGreaterThan(before);
  });

  it('by GET is 405 (EX23)', async () => {
    const answer = await server.call('GET', PATH);
    expect({ status: answer.status, allow: answer.headers.allow }).toEqual({ status: 405, allow: 'POST' });
  });

  it('malformed in any way is answered, never by a failure of ours (Q03)', async () => {
    const below = seededNumbers('touchmark-serverkeygen-1');
    const made = await makeDevice(db, product);
    const good = withKeyId(made, OID.decryptKeyIdentifier, Buffer.of(7), [OID.aes256Wrap]);
    for (let i = 0; i < 60; i++) {
      const mutant = mutateDer(good, below);
      const answer = await bySecret(made, mutant);
      expect({ mutant: mutant.toString('hex'), status: answer.status }).toEqual({
        mutant: mutant.toString('hex'),
        status: Math.min(answer.status, 499),
      });
    }
  });
});
