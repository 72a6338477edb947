import { hash } from 'node:crypto';
import { AuthorityError } from '#kernel';
import { readCertificate } from './certificate.js';
import { DerReader } from './der/read.js';
import { fromPem } from './pem.js';
import { parsePublicKey } from './public-key.js';

const LABELS = ['PUBLIC KEY', 'CERTIFICATE', 'CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'] as const;

/**
 * SHA-256 of the SubjectPublicKeyInfo that a text names: 64 hex digits, or one PEM block with a public key, a certificate or a PKCS#10
 * request, whose signatures do not matter here. Throws AuthorityError 'malformed'; 'invalid' (code 'privateKey') for anything that says
 * that it is a private key, none of which is repeated.
 */
export function keyFingerprint(text: string): Buffer {
  if (/PRIVATE\s+KEY/i.test(text)) {
    throw new AuthorityError(
      'invalid',
      'this is a private key, which is never to be sent; send the public key, and regard that one as known to others',
      { code: 'privateKey' },
    );
  }
  const trimmed = text.trim();
  if (/^[0-9a-fA-F]{64}$/.test(trimmed)) return Buffer.from(trimmed, 'hex');
  const found = LABELS.find((label) => trimmed.startsWith(`-----BEGIN ${label}-----`));
  if (found === undefined) {
    throw new AuthorityError(
      'malformed',
      'a key is 64 hex digits (SHA-256 of its SubjectPublicKeyInfo), or PEM of a public key, a certificate or a request',
    );
  }
  const [der, more] = fromPem(trimmed);
  if (der === undefined || more !== undefined) throw new AuthorityError('malformed', 'send one PEM block for each key');
  return hash('sha256', spkiOf(found, der), 'buffer');
}

function spkiOf(label: (typeof LABELS)[number], der: Buffer): Buffer {
  switch (label) {
    case 'PUBLIC KEY':
      return parsePublicKey(der).spki;
    case 'CERTIFICATE':
      return readCertificate(der).publicKey.spki;
    case 'CERTIFICATE REQUEST':
    case 'NEW CERTIFICATE REQUEST': {
      const info = DerReader.openSequence(der, 'CSR').sequence();
      info.smallInteger();
      info.skip();
      return parsePublicKey(info.element()).spki;
    }
  }
}
