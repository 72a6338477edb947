import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { OID, readCertificate, readCertsOnly, toPem } from '#pki';
import { addUser, enrolled, holdDomain, startNameBench, type NameBench } from '../authority/name-bench.js';
import { csrOf, newKey, type DeviceKey } from '../harness/device.js';
import { openEst, type EstPlane } from './access/plane.js';
import type { HttpsAnswer } from './https-request.js';

let bench: NameBench;
let plane: EstPlane;
let user: Awaited<ReturnType<typeof enrolled>>;

beforeAll(async () => {
  bench = await startNameBench();
  await holdDomain(bench, 'home.example');
  await addUser(bench, 'bob@home.example');
  user = await enrolled(bench, 'im-user', ['mailto:bob@home.example', 'im:bob@home.example']);
  plane = await openEst(bench.db);
});
afterAll(async () => {
  await plane.close();
  await bench.stop();
});

function kemKey(kind: 'ml-kem-512' | 'ml-kem-768' | 'ml-kem-1024'): DeviceKey {
  const { privateKey, publicKey } = generateKeyPairSync(kind as 'ed25519');
  return { privateKey, spki: publicKey.export({ type: 'spki', format: 'der' }), pem: '' };
}

/** Signed by the key of the certificate for signatures, which the statement of possession names (RFC 9883). */
const ask = (kem: DeviceKey, carried = true): Promise<HttpsAnswer> =>
  plane.ask({
    operation: 'simplereenroll',
    label: 'im-user',
    identity: { cert: toPem('CERTIFICATE', user.certificate), key: user.key.pem },
    csr: csrOf(
      user.device,
      { ...kem, privateKey: user.key.privateKey },
      { subject: [], san: user.san, possession: { signer: readCertificate(user.certificate), carried } },
    ),
  });

function certificateIn(answer: HttpsAnswer): Buffer {
  expect({ status: answer.status, text: answer.status === 200 ? '' : answer.text }).toEqual({ status: 200, text: '' });
  return readCertsOnly(Buffer.from(answer.text, 'base64'))[0]!;
}

describe('a user who has a certificate for signatures gets one for an ML-KEM key over EST (P54)', () => {
  test.each(['ml-kem-512', 'ml-kem-768', 'ml-kem-1024'] as const)('%s', async (kind) => {
    const kem = kemKey(kind);
    const der = certificateIn(await ask(kem, kind !== 'ml-kem-512'));
    const read = readCertificate(der);
    expect(read.publicKey.spki).toEqual(kem.spki);
    expect(read.keyUsage).toEqual(['keyEncipherment']);
    expect(read.eku).toEqual([OID.emailProtection]);
    expect(read.san).toEqual(user.san);
    // As a library that is not ours reads and verifies it.
    const certificate = new X509Certificate(der);
    const issuing = await plane.est.issuers.issuing();
    expect(certificate.verify(createPublicKey({ key: issuing.publicKey.spki, format: 'der', type: 'spki' }))).toBe(
      true,
    );
    expect(certificate.publicKey.asymmetricKeyType).toBe(kind);
    // The same request again is the same certificate; the one for signatures goes on beside it.
    expect(certificateIn(await ask(kem))).toEqual(der);
    expect(plane.est.follower.index.certificate(readCertificate(user.certificate).serial)).toBeUndefined();
  });

  test('and renews both: the one for signatures by itself, the other by that again', async () => {
    const first = certificateIn(await ask(kemKey('ml-kem-768')));
    const next = newKey();
    const renewed = await plane.ask({
      operation: 'simplereenroll',
      label: 'im-user',
      identity: { cert: toPem('CERTIFICATE', user.certificate), key: user.key.pem },
      csr: csrOf(user.device, next, { subject: [], san: user.san }),
    });
    user = { ...user, certificate: certificateIn(renewed), key: next };
    const second = certificateIn(await ask(kemKey('ml-kem-768')));
    expect(readCertificate(second).publicKey.spki).not.toEqual(readCertificate(first).publicKey.spki);
  });
});
