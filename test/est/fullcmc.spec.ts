import 'reflect-metadata';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createPrivateKey, randomUUID } from 'node:crypto';
import { fromBER } from 'asn1js';
import * as pkijs from 'pkijs';
import { answerFullRequest, currentLabel } from '#authority';
import { cmcSharedSecret, parseCredential, verifierHash } from '#credential';
import { decodeBody, readPkiData } from '#est';
import {
  der,
  encodeName,
  fromPem,
  OID,
  readCertificate,
  readSignedData,
  signBytes,
  signatureAlgorithm,
  toPem,
} from '#pki';
import {
  control,
  encodePkiData,
  identityProof,
  signByNewKey,
  signFullRequest,
  taggedPkcs10,
  type FullRequest,
} from '../../libs/est/src/testing/cmc-client.js';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { basic, csrOf, newKey, type DeviceKey } from '../harness/device.js';
import { makeDevice, makeEnrolled, makeProduct, type Product, type TestDevice } from '../harness/fixtures.js';
import { openFullAnswer, signedBy } from './full-answer.js';
import { seededNumbers } from '../../libs/pki/src/testing/issuing.js';
import { mutateDer } from './der-mutants.js';
import { decideLabel, startEstServer, type EstServer } from './est-server.js';
import type { HttpsAnswer } from './https-request.js';
import { selfSigned } from './self-signed.js';

let db: TestDatabase;
let server: EstServer;
let product: Product;
type Enrolled = Awaited<ReturnType<typeof makeEnrolled>>;

beforeAll(async () => {
  db = await startTestDatabase();
  product = await makeProduct(await db.context('api'), db.operator);
  server = await startEstServer(db);
  await decideLabel(db, 'cmc', { profile: 'device', operations: ['fullcmc'] });
});
afterAll(async () => {
  await server.close();
  await db.stop();
});

const PATH = '/.well-known/est/cmc/fullcmc';
const TYPE = 'application/pkcs7-mime; smime-type=CMC-request';
const post = (message: Buffer, options: Parameters<EstServer['call']>[2] = {}, path = PATH): Promise<HttpsAnswer> =>
  server.call('POST', path, {
    ...options,
    headers: { 'content-type': TYPE, ...options.headers },
    body: message.toString('base64'),
  });

const shared = (secret: string): { id: string; secret: string } => {
  const credential = parseCredential(secret)!;
  return { id: credential.id, secret: cmcSharedSecret(verifierHash(credential)) };
};

const certificatesOf = async (device: { id: string }): Promise<number> =>
  (await db.sql(`select 1 from certificates where device_id = $1`, [device.id])).length;
const refusals = async (): Promise<number> =>
  (
    await db.sql(
      `select 1 from audit where action = 'certificate.requested' and outcome = 'refused'
       and convert_from(canonical, 'UTF8') like '%fullcmc%'`,
    )
  ).length;

function byProof(
  made: TestDevice,
  key: DeviceKey,
  change: { secret?: string; id?: string; csr?: Buffer } = {},
): Buffer {
  const { id, secret } = shared(made.secret);
  const requests = [taggedPkcs10(1, change.csr ?? csrOf(made.device, key))];
  const named = change.id ?? id;
  const controls = [
    control(2, OID.cmcIdentification, der.utf8String(named)),
    identityProof(3, change.secret ?? secret, named, requests),
  ];
  return signByNewKey(encodePkiData({ requests, controls }), key);
}

describe('a full request', () => {
  it('renews, signed with the current certificate, and gets back what it gave (E131)', async () => {
    const enrolled = await makeEnrolled(db, product);
    const key = newKey();
    const message = signedBy(enrolled, {
      requests: [taggedPkcs10(7, csrOf(enrolled.device, key))],
      controls: [
        control(1, OID.cmcTransactionId, der.integer(4711)),
        control(2, OID.cmcSenderNonce, der.octetString(Buffer.from('nonce'))),
      ],
    });
    const answer = await openFullAnswer(await post(message));
    expect(answer).toMatchObject({
      status: 200,
      transactionId: der.integer(4711),
      recipientNonce: Buffer.from('nonce'),
      statuses: [{ status: 'success', bodyList: [7] }],
    });
    expect(answer.senderNonce).toHaveLength(16);
    const [certificate] = answer.certificates;
    expect(readCertificate(certificate!).publicKey.spki).toEqual(key.spki);
    // E91: the same again is the same certificate.
    expect((await openFullAnswer(await post(message))).certificates).toEqual([certificate]);
  });

  it('enrolls with an identity proof by the one-time secret, signed with the new key', async () => {
    const made = await makeDevice(db, product);
    const key = newKey();
    const answer = await openFullAnswer(await post(byProof(made, key)));
    expect(answer).toMatchObject({ status: 200, statuses: [{ status: 'success', bodyList: [1] }] });
    expect(readCertificate(answer.certificates[0]!).publicKey.spki).toEqual(key.spki);
    const other = newKey();
    expect((await openFullAnswer(await post(byProof(made, other)))).status).toBe(401);
    expect(await certificatesOf(made.device)).toBe(1);
  });

  it('enrolls with the secret by HTTP Basic as well', async () => {
    const made = await makeDevice(db, product);
    const key = newKey();
    const message = signByNewKey(encodePkiData({ requests: [taggedPkcs10(1, csrOf(made.device, key))] }), key);
    const answer = await openFullAnswer(
      await post(message, { headers: { authorization: basic(made.device.id, made.secret) } }),
    );
    expect(answer).toMatchObject({ status: 200, statuses: [{ status: 'success' }] });
  });

  it('may hold a request in CRMF', async () => {
    const enrolled = await makeEnrolled(db, product);
    const key = newKey();
    const spki = Buffer.from(key.spki);
    spki[0] = 0xa6;
    const { subjectDer, extensions } = readCertificate(enrolled.certificate);
    const san = der.sequence(der.oid(OID.subjectAltName), der.octetString(extensions.get(OID.subjectAltName)!.value));
    const request = der.sequence(
      der.integer(5),
      der.sequence(der.constructed(5, subjectDer), spki, der.constructed(9, san)),
    );
    const proof = der.constructed(
      1,
      signatureAlgorithm('ec-p256').der,
      der.bitString(signBytes('ec-p256', key.privateKey, request)),
    );
    const answer = await openFullAnswer(
      await post(signedBy(enrolled, { requests: [der.constructed(1, request, proof)] })),
    );
    expect(answer).toMatchObject({ status: 200, statuses: [{ status: 'success', bodyList: [5] }] });
    expect(readCertificate(answer.certificates[0]!).publicKey.spki).toEqual(key.spki);
  });

  it('of several requests has a status for each, the good ones done (E131)', async () => {
    const enrolled = await makeEnrolled(db, product);
    const [good, alsoGood] = [newKey(), newKey('P-384')];
    const broken = csrOf(enrolled.device, newKey());
    broken[broken.length - 1] = (broken.at(-1) as number) ^ 1;
    const answer = await openFullAnswer(
      await post(
        signedBy(enrolled, {
          requests: [
            taggedPkcs10(1, csrOf(enrolled.device, good)),
            taggedPkcs10(2, broken),
            taggedPkcs10(3, csrOf(enrolled.device, alsoGood)),
          ],
        }),
      ),
    );
    expect(answer).toMatchObject({
      status: 200,
      statuses: [
        { status: 'success', bodyList: [1] },
        { status: 'failed', bodyList: [2], failInfo: 'popFailed' },
        { status: 'success', bodyList: [3] },
      ],
    });
    expect(answer.certificates).toHaveLength(2);
  });

  it('revokes a certificate of the device, also its own', async () => {
    const enrolled = await makeEnrolled(db, product);
    const { issuerDer, serial } = readCertificate(enrolled.certificate);
    const revocation = der.sequence(issuerDer, der.tagged(0x02, Buffer.from(serial, 'hex')), der.enumerated(1));
    const message = signedBy(enrolled, { controls: [control(1, OID.cmcRevokeRequest, revocation)] });
    expect(await openFullAnswer(await post(message))).toMatchObject({
      status: 200,
      statuses: [{ status: 'success', bodyList: [1] }],
    });
    expect(server.est.follower.index.certificate(serial)).toMatchObject({ status: 'revoked', reason: 'keyCompromise' });
    expect((await openFullAnswer(await post(message))).status).toBe(403);
    const [audit] = await db.sql<{ actor: string }>(
      `select actor from audit where action = 'certificate.revoked' and subject = $1`,
      [`certificate:${serial}`],
    );
    expect(audit?.actor).toBe(`device:${enrolled.device.id}`);
  });

  it('without a time in its signature counts where the connection has its certificate', async () => {
    const enrolled = await makeEnrolled(db, product);
    const data = encodePkiData({ requests: [taggedPkcs10(1, csrOf(enrolled.device, newKey()))] });
    const { privateKey } = enrolled.key;
    const timed = signFullRequest(data, { certificate: enrolled.certificate, privateKey }, new Date());
    const message = withoutTime(timed, privateKey);
    expect(await openFullAnswer(await post(message))).toMatchObject({
      status: 400,
      statuses: [{ failInfo: 'badTime', bodyList: [0] }],
    });
    const tls = { cert: toPem('CERTIFICATE', enrolled.certificate), key: enrolled.key.pem };
    expect(await openFullAnswer(await post(message, tls))).toMatchObject({
      status: 200,
      statuses: [{ status: 'success' }],
    });
  });
});

describe('an answer', () => {
  it('is signed with the certificate that the connection has, also after that was renewed', async () => {
    const own = async () => readSignedData(decodeBody((await post(Buffer.alloc(0))).body)).certificates;
    expect(await own()).toEqual(fromPem(server.tls.cert));
    const renewed = await selfSigned();
    server.renew(renewed);
    expect(await own()).toEqual(fromPem(renewed.cert));
    server.renew(server.tls);
  });
});

/** The same message with signingTime taken out and signed again. */
function withoutTime(message: Buffer, privateKey: DeviceKey['privateKey']): Buffer {
  const info = new pkijs.ContentInfo({ schema: fromBER(new Uint8Array(message).buffer).result });
  const signed = new pkijs.SignedData({ schema: info.content });
  const [signer] = signed.signerInfos;
  const kept = signer!.signedAttrs!.attributes.filter(({ type }) => type !== OID.signingTime);
  const attributes = kept.map((one) => Buffer.from(one.toSchema().toBER())).sort(Buffer.compare);
  const read = readSignedData(message);
  const certificate = readCertificate(read.certificates[0]!);
  const signerInfo = der.sequence(
    der.integer(1),
    der.sequence(certificate.issuerDer, der.tagged(0x02, Buffer.from(certificate.serial, 'hex'))),
    der.sequence(der.oid(OID.sha256)),
    der.constructed(0, ...attributes),
    signatureAlgorithm('ec-p256').der,
    der.octetString(signBytes('ec-p256', privateKey, der.setOf(...attributes))),
  );
  const content = der.sequence(der.oid(OID.pkiData), der.constructed(0, der.octetString(read.content)));
  const data = der.sequence(
    der.integer(3),
    der.setOf(der.sequence(der.oid(OID.sha256))),
    content,
    der.constructed(0, certificate.der),
    der.setOf(signerInfo),
  );
  return der.sequence(der.oid(OID.signedData), der.constructed(0, data));
}

describe('bad input at fullcmc', () => {
  let enrolled: Enrolled;
  let stranger: { certificate: Buffer; key: DeviceKey };
  beforeAll(async () => {
    enrolled = await makeEnrolled(db, product);
    const made = await selfSigned('stranger');
    const privateKey = createPrivateKey(made.key);
    stranger = { certificate: fromPem(made.cert)[0]!, key: { privateKey, spki: Buffer.alloc(0), pem: made.key } };
  });

  const renewal = (change: Partial<FullRequest> = {}): FullRequest => ({
    requests: [taggedPkcs10(1, csrOf(enrolled.device, newKey()))],
    ...change,
  });
  const altered = (message: Buffer): Buffer => {
    const copy = Buffer.from(message);
    copy[copy.length - 3] = (copy.at(-3) as number) ^ 1;
    return copy;
  };
  const revoke = (issuerDer: Buffer, serial: string, reason: number) =>
    control(
      1,
      OID.cmcRevokeRequest,
      der.sequence(issuerDer, der.tagged(0x02, Buffer.from(serial, 'hex')), der.enumerated(reason)),
    );

  it('signed by a stranger costs one signature, however many requests it holds', async () => {
    const message = readSignedData(signedBy(stranger, renewal()));
    let read = 0;
    const one = {
      bodyPartId: 1,
      form: 'pkcs10' as const,
      get der() {
        read++;
        return csrOf(enrolled.device, newKey());
      },
    };
    const data = { ...readPkiData(message.content), requests: [one] };
    const presented = { basic: undefined, bearer: undefined, peerCertificate: () => undefined };
    const label = currentLabel(server.est, 'cmc')!;
    const request = { message, data, label, presented, linkFailure: () => undefined };
    await expect(
      answerFullRequest(server.est, { ...request, address: '192.0.2.9', requestId: randomUUID() }),
    ).rejects.toMatchObject({ kind: 'forbidden' });
    expect(read).toBe(0);
  });

  it.each<[string, () => Promise<HttpsAnswer> | HttpsAnswer, number, string]>([
    ['a bare PKCS#10', () => post(csrOf(enrolled.device, newKey())), 400, 'badRequest'],
    ['broken DER (EX02)', () => post(signedBy(enrolled, renewal()).subarray(0, 300)), 400, 'badRequest'],
    [
      'octets behind the end (EX03)',
      () => post(Buffer.concat([signedBy(enrolled, renewal()), Buffer.of(0)])),
      400,
      'badRequest',
    ],
    ['an empty body (EX05)', () => post(Buffer.alloc(0)), 400, 'badRequest'],
    [
      'a body that is not base64 (EX01)',
      () => server.call('POST', PATH, { headers: { 'content-type': TYPE }, body: '!!!!' }),
      400,
      'badRequest',
    ],
    [
      'another smime-type',
      () =>
        post(signedBy(enrolled, renewal()), {
          headers: { 'content-type': 'application/pkcs7-mime; smime-type=certs-only' },
        }),
      415,
      'badRequest',
    ],
    ['a signature that does not verify', () => post(altered(signedBy(enrolled, renewal()))), 400, 'badMessageCheck'],
    ['an old signature', () => post(signedBy(enrolled, renewal(), new Date(Date.now() - 700_000))), 400, 'badTime'],
    [
      'a signature of tomorrow',
      () => post(signedBy(enrolled, renewal(), new Date(Date.now() + 700_000))),
      400,
      'badTime',
    ],
    ['the certificate of a stranger (EX15)', () => post(signedBy(stranger, renewal())), 403, 'badIdentity'],
    ['no request at all', () => post(signedBy(enrolled, {})), 400, 'badRequest'],
    [
      'an unknown control',
      () => post(signedBy(enrolled, renewal({ controls: [control(9, '1.2.3', der.null())] }))),
      400,
      'badRequest',
    ],
    [
      'an identity proof by SHA-1',
      () =>
        post(
          signedBy(
            enrolled,
            renewal({ controls: [control(9, OID.cmcIdentityProof, der.octetString(Buffer.alloc(20)))] }),
          ),
        ),
      400,
      'badAlg',
    ],
    [
      'a bad binding (EX22)',
      () =>
        post(
          signedBy(enrolled, {
            requests: [taggedPkcs10(1, csrOf(enrolled.device, newKey(), { challengePassword: 'AAAA' }))],
          }),
        ),
      400,
      'popFailed',
    ],
    [
      'a CSR signed by another key (EX08)',
      () => {
        const csr = csrOf(enrolled.device, newKey());
        csr[csr.length - 1] = (csr.at(-1) as number) ^ 1;
        return post(signedBy(enrolled, { requests: [taggedPkcs10(1, csr)] }));
      },
      400,
      'popFailed',
    ],
    [
      'names of another device (EX20)',
      () =>
        post(
          signedBy(enrolled, {
            requests: [taggedPkcs10(1, csrOf({ id: randomUUID(), instanceId: randomUUID() }, newKey()))],
          }),
        ),
      400,
      'badRequest',
    ],
    [
      'a control character in a name (EX30)',
      () =>
        post(
          signedBy(enrolled, {
            requests: [
              taggedPkcs10(
                1,
                csrOf(enrolled.device, newKey(), { subject: [[{ type: OID.commonName, value: 'a\u0001' }]] }),
              ),
            ],
          }),
        ),
      400,
      'badRequest',
    ],
    [
      'a revocation of another device’s certificate',
      async () => {
        const { issuerDer, serial } = readCertificate((await makeEnrolled(db, product)).certificate);
        return post(signedBy(enrolled, { controls: [revoke(issuerDer, serial, 1)] }));
      },
      403,
      'badCertId',
    ],
    [
      'a hold',
      () => {
        const { issuerDer, serial } = readCertificate(enrolled.certificate);
        return post(signedBy(enrolled, { controls: [revoke(issuerDer, serial, 6)] }));
      },
      400,
      'badRequest',
    ],
  ])('%s: the status of its error, in CMC, audited, nothing issued (E131)', async (_, attempt, status, failInfo) => {
    const [issued, audited] = [await certificatesOf(enrolled.device), await refusals()];
    const answer = await openFullAnswer(await attempt());
    expect(answer).toMatchObject({ status, statuses: [{ status: 'failed', failInfo }] });
    expect(answer.certificates).toHaveLength(0);
    expect(await certificatesOf(enrolled.device)).toBe(issued);
    expect(await refusals()).toBeGreaterThan(audited);
  });

  it.each<[string, (made: TestDevice, key: DeviceKey) => Buffer, number, string]>([
    [
      'nothing but the new key (EX11)',
      (made, key) => signByNewKey(encodePkiData({ requests: [taggedPkcs10(1, csrOf(made.device, key))] }), key),
      401,
      'badIdentity',
    ],
    ['a proof by a wrong secret (EX12)', (made, key) => byProof(made, key, { secret: 'wrong' }), 401, 'badIdentity'],
    [
      'a proof by an unknown name (EX12)',
      (made, key) => byProof(made, key, { id: '00000000000000' }),
      401,
      'badIdentity',
    ],
    [
      'a signature by another key than the one asked for',
      (made, key) => byProof(made, key, { csr: csrOf(made.device, newKey()) }),
      400,
      'badMessageCheck',
    ],
    [
      'names that are not the device’s (EX18)',
      (made, key) => byProof(made, key, { csr: csrOf(made.device, key, { san: [{ type: 'dns', value: 'x.org' }] }) }),
      403,
      'badIdentity',
    ],
    [
      'a request for a CA (EX19)',
      (made, key) =>
        byProof(made, key, {
          csr: csrOf(made.device, key, {
            extensions: [{ oid: OID.basicConstraints, critical: true, value: der.sequence(der.boolean(true)) }],
          }),
        }),
      403,
      'unsupportedExt',
    ],
  ])('a first enrollment with %s is refused in CMC, and the secret stays good', async (_, build, status, failInfo) => {
    const made = await makeDevice(db, product);
    const key = newKey();
    const answer = await openFullAnswer(await post(build(made, key)));
    expect(answer).toMatchObject({ status, statuses: [{ status: 'failed', failInfo }] });
    expect(await certificatesOf(made.device)).toBe(0);
    expect((await openFullAnswer(await post(byProof(made, key)))).status).toBe(200);
  });

  it('by GET is 405, of another type 415, above the limit 413, and 404 where the label does not offer it (EX23, EX04, EX06, E10)', async () => {
    expect((await server.call('GET', PATH)).status).toBe(405);
    const pkcs10 = await server.call('POST', PATH, { headers: { 'content-type': 'application/pkcs10' }, body: 'x' });
    expect(pkcs10.status).toBe(415);
    expect((await post(Buffer.alloc(60_000))).status).toBe(413);
    expect((await post(signedBy(enrolled, renewal()), {}, '/.well-known/est/fullcmc')).status).toBe(404);
  });

  it('malformed in any way and signed rightly is answered in CMC, never by a failure of ours (Q03)', async () => {
    const below = seededNumbers('touchmark-fullcmc-1');
    const good = encodePkiData({
      ...renewal(),
      controls: [
        control(2, OID.cmcSenderNonce, der.octetString(Buffer.of(1))),
        control(3, OID.cmcRevokeRequest, der.sequence(encodeName([]), der.integer(9), der.enumerated(1))),
      ],
    });
    const { certificate, key } = enrolled;
    for (let i = 0; i < 120; i++) {
      const mutant = mutateDer(good, below);
      const message = signFullRequest(mutant, { certificate, privateKey: key.privateKey }, new Date());
      const answer = await post(message);
      expect({ mutant: mutant.toString('hex'), status: answer.status }).toEqual({
        mutant: mutant.toString('hex'),
        status: Math.min(answer.status, 499),
      });
      expect(answer.headers['content-type']).toMatch(/CMC-response/);
    }
  });

  it('changed anywhere is refused, or still the same request', async () => {
    const key = newKey();
    const whole = signedBy(enrolled, { requests: [taggedPkcs10(1, csrOf(enrolled.device, key))] });
    const issued = await certificatesOf(enrolled.device);
    for (let at = 0; at < whole.length; at += 41) {
      const copy = Buffer.from(whole);
      copy[at] = (copy[at] as number) ^ 0x11;
      const answer = await post(copy);
      // A few octets are under no signature and say nothing, such as the version: then it is still the same request.
      if (answer.status !== 200) expect([400, 401, 403, 429]).toContain(answer.status);
      else {
        const { certificates } = await openFullAnswer(answer);
        expect(certificates.map((one) => readCertificate(one).publicKey.spki)).toEqual([key.spki]);
      }
    }
    expect(await certificatesOf(enrolled.device)).toBeLessThanOrEqual(issued + 1);
  });
});
