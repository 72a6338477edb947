import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { decodeBody } from '#est';
import { OID, readCertificate, readCertsOnly, validatePath, verifyBytes, type Certificate } from '#pki';
import { startTestDatabase, type TestDatabase } from '../harness/database.js';
import { makeEnrolled } from '../harness/fixtures.js';
import { startEstServer, type EstServer } from './est-server.js';
import type { HttpsAnswer } from './https-request.js';

let db: TestDatabase;
let server: EstServer;
let answer: HttpsAnswer;
let bag: Certificate[];

beforeAll(async () => {
  db = await startTestDatabase();
  server = await startEstServer(db);
  answer = await server.call('GET', '/.well-known/est/cacerts');
  bag = readCertsOnly(decodeBody(answer.body)).map((der) => readCertificate(der));
});
afterAll(async () => {
  await server.close();
  await db.stop();
});

const isSelfSigned = (one: Certificate): boolean =>
  one.issuerDer.equals(one.subjectDer) &&
  verifyBytes(one.signatureAlgorithmDer, one.publicKey.keyObject, one.tbs, one.signature);

describe('the bag of cacerts', () => {
  it('builds a path from a certificate of a device to its root, with nothing else (E31)', async () => {
    const { certificate } = await makeEnrolled(db);
    const [root] = bag.filter(isSelfSigned);
    const result = validatePath({
      leaf: readCertificate(certificate),
      intermediates: bag.filter((one) => !isSelfSigned(one)),
      anchors: [{ subjectDer: root!.subjectDer, publicKey: root!.publicKey, set: 'bag' }],
      at: new Date(),
      eku: OID.clientAuth,
      revocation: () => 'good',
    });
    expect(result.ok).toBe(true);
  });

  it('has no end entity, no certificate twice, and no private key (E36)', () => {
    expect(bag.length).toBeGreaterThan(1);
    expect(bag.every((one) => one.basicConstraints?.ca === true)).toBe(true);
    expect(new Set(bag.map((one) => one.sha256.toString('hex'))).size).toBe(bag.length);
    expect(answer.text).not.toMatch(/PRIVATE/);
  });

  it('is typed certs-only and may be stored for a while (E30, E91)', () => {
    expect(answer.headers['content-type']).toBe('application/pkcs7-mime; smime-type=certs-only');
    expect(answer.headers['cache-control']).toMatch(/^public, max-age=/);
  });
});
