import { hash } from 'node:crypto';
import type { Certificate } from './certificate.js';
import { signatureDigest } from './signature.js';

const HASH_NAMES = { sha256: 'sha-256', sha384: 'sha-384', sha512: 'sha-512' } as const;

/**
 * SDP attribute lines for a certificate (RFC 8122 section 5, S14): SHA-256 always, then the hash of the certificate's own signature
 * where that is another one of the SHA-2 family. Upper-case hex with colons, no line end.
 */
export function sdpFingerprints(certificate: Certificate): string[] {
  const own = signatureDigest(certificate.signatureAlgorithmDer) ?? 'sha256';
  return [...new Set(['sha256', own] as const)].map((digest) => {
    const octets = hash(digest, certificate.der, 'buffer').toString('hex').toUpperCase();
    return `a=fingerprint:${HASH_NAMES[digest]} ${octets.replace(/..(?=.)/g, '$&:')}`;
  });
}
