import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { readCertificate } from './certificate.js';
import { fromPem, toPem } from './pem.js';
import { assembleCertificate, prepareCertificate } from './prepare.js';
import { sdpFingerprints } from './sdp.js';
import { signBytes } from './signature.js';
import { deviceRules, deviceTemplate, generateKey, type KeyPair } from './testing/issuing.js';

function issue(ca: KeyPair): Buffer {
  const tbs = prepareCertificate(deviceTemplate(ca, generateKey('ec-p256').publicKey), deviceRules(ca)).consume();
  return assembleCertificate(tbs, signBytes(ca.publicKey.keyType, ca.privateKey, tbs), ca.publicKey);
}

const certificate = issue(generateKey('ec-p256'));

describe('PEM', () => {
  it('is what OpenSSL writes and reads', () => {
    expect(toPem('CERTIFICATE', certificate)).toBe(new X509Certificate(certificate).toString());
    expect(new X509Certificate(toPem('CERTIFICATE', certificate)).raw).toEqual(certificate);
  });

  it.each([1, 47, 48, 49, 96, 1000])('of %d octets comes back, in lines of at most 64 columns', (length) => {
    const bytes = Buffer.alloc(length, 0xa5);
    const pem = toPem('X', bytes);
    expect(fromPem(pem)).toEqual([bytes]);
    expect(pem.split('\n').every((line) => line.length <= 64 || line.startsWith('-----'))).toBe(true);
    expect(fromPem(pem.replaceAll('\n', '\r\n'))).toEqual([bytes]);
  });

  it('gives the blocks of one label, in order, past other text', () => {
    const bundle = `subject=x\n${toPem('A', Buffer.of(1))}\n${toPem('B', Buffer.of(2))}${toPem('A', Buffer.of(3))}`;
    expect(fromPem(bundle, 'A')).toEqual([Buffer.of(1), Buffer.of(3)]);
    expect(fromPem(bundle)).toHaveLength(3);
  });

  it.each([
    '',
    'AQ==',
    '-----BEGIN A-----\nAQ\n-----END A-----',
    '-----BEGIN A-----\nA!==\n-----END A-----',
    '-----BEGIN A-----\nAQ==\n-----END B-----',
  ])('refuses %p as malformed', (pem) => {
    expect(() => fromPem(pem)).toThrow(expect.objectContaining({ kind: 'malformed' }));
  });
});

describe('SDP fingerprints', () => {
  it('are upper-case with colons, SHA-256 always (S14)', () => {
    const theirs = new X509Certificate(certificate).fingerprint256;
    expect(sdpFingerprints(readCertificate(certificate))).toEqual([`a=fingerprint:sha-256 ${theirs}`]);
  });

  it("add the hash of the certificate's signature where it is another (S14)", () => {
    const signed384 = issue(generateKey('ec-p384'));
    const read = new X509Certificate(signed384);
    const lines = sdpFingerprints(readCertificate(signed384));
    expect(lines).toHaveLength(2);
    expect(lines[0]).toBe(`a=fingerprint:sha-256 ${read.fingerprint256}`);
    expect(lines[1]).toMatch(/^a=fingerprint:sha-384 ([0-9A-F]{2}:){47}[0-9A-F]{2}$/);
    const signed521 = sdpFingerprints(readCertificate(issue(generateKey('ec-p521'))));
    expect(signed521[1]).toMatch(/^a=fingerprint:sha-512 ([0-9A-F]{2}:){63}[0-9A-F]{2}$/);
    expect(sdpFingerprints(readCertificate(issue(generateKey('ed25519'))))).toHaveLength(1);
  });
});
