import path from 'node:path';
import { AuthorityError } from './errors.js';

/** Proxies that end TLS before EST (RFC 9440). */
export interface EstProxies {
  /** SHA-256 in lower-case hex of the certificate, or of the public key, that each shows us. */
  fingerprints: readonly string[];
  /** Where they may connect without TLS; undefined: nowhere. */
  socket: string | undefined;
}

/** Fingerprints as `openssl x509 -fingerprint -sha256` prints them, or without the colons. Throws `invalid`. */
export function readEstProxies(fingerprints: readonly string[], socket: string | undefined): EstProxies {
  return {
    fingerprints: fingerprints.map((one) => {
      const hex = one.replaceAll(':', '').toLowerCase();
      if (/^[0-9a-f]{64}$/.test(hex)) return hex;
      throw new AuthorityError('invalid', `TOUCHMARK_EST_PROXIES: "${one}" is no SHA-256 in hex`, {
        member: 'TOUCHMARK_EST_PROXIES',
      });
    }),
    socket: socket === undefined ? undefined : path.resolve(socket),
  };
}
