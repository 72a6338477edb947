import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { encodeCsr } from './csr-write.js';
import { keyFingerprint } from './key-fingerprint.js';
import { toPem } from './pem.js';
import { certify } from './testing/chain.js';
import { commonName, generateKey } from './testing/issuing.js';

const keys = generateKey('ec-p256');
const sha256 = createHash('sha256').update(keys.publicKey.spki).digest();
const csr = encodeCsr({ subject: commonName('x'), publicKey: keys.publicKey }, keys.privateKey);
const certificate = certify(undefined, 'x', { keys }).certificate.der;

describe('the fingerprint of a key', () => {
  it.each([
    ['hex', sha256.toString('hex')],
    ['hex in capitals, with space around', ` ${sha256.toString('hex').toUpperCase()}\n`],
    ['a public key', toPem('PUBLIC KEY', keys.publicKey.spki)],
    ['a certificate', toPem('CERTIFICATE', certificate)],
    ['a request', toPem('CERTIFICATE REQUEST', csr)],
    ['a request of old tools', toPem('NEW CERTIFICATE REQUEST', csr)],
  ])('is read from %s', (_, text) => {
    expect(keyFingerprint(text)).toEqual(sha256);
  });

  it.each(['PRIVATE KEY', 'EC PRIVATE KEY', 'ENCRYPTED PRIVATE KEY', 'OPENSSH PRIVATE KEY'])(
    'is read from no %s, and nothing of it is repeated',
    (label) => {
      const pkcs8 = keys.privateKey.export({ type: 'pkcs8', format: 'der' });
      for (const text of [toPem(label, pkcs8), toPem('PUBLIC KEY', keys.publicKey.spki) + toPem(label, pkcs8)]) {
        let thrown: unknown;
        try {
          keyFingerprint(text);
        } catch (error) {
          thrown = error;
        }
        expect(thrown).toMatchObject({ kind: 'invalid', code: 'privateKey' });
        expect(JSON.stringify(thrown)).not.toContain(pkcs8.toString('base64').slice(0, 24));
      }
    },
  );

  it.each([
    ['a short digest', 'ab'.repeat(31)],
    ['something else', 'hello'],
    ['two blocks', toPem('PUBLIC KEY', keys.publicKey.spki) + toPem('CERTIFICATE', certificate)],
    [
      'a private key that says it is public',
      toPem('PUBLIC KEY', keys.privateKey.export({ type: 'pkcs8', format: 'der' })),
    ],
    ['a block of another kind', toPem('X509 CRL', certificate)],
  ])('is not read from %s', (_, text) => {
    expect(() => keyFingerprint(text)).toThrow(expect.objectContaining({ kind: 'malformed' }));
  });
});
