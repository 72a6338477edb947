import { constants } from 'node:crypto';

export interface TlsCredentials {
  /** PEM. */
  key: string;
  /** PEM chain, leaf first. */
  cert: string;
}

/**
 * TLS 1.2 and 1.3 (E02), ephemeral keys only, nothing without authentication or encryption (E03). The suites with CBC are
 * for devices that have no other. Renegotiation is off, which channel binding by exporter rests on (E66).
 */
export function tlsOptions({ key, cert }: TlsCredentials) {
  return {
    key,
    cert,
    minVersion: 'TLSv1.2',
    ciphers:
      'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:' +
      'ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!eNULL:!EXPORT:!DES:!3DES:!RC4:!MD5:!PSK',
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  } as const;
}
