import { constants } from 'node:crypto';
import type { Server } from 'node:https';

export interface TlsCredentials {
  /** PEM. */
  key: string;
  /** PEM chain, leaf first. */
  cert: string;
}

/** RFC 9325: TLS 1.2 and 1.3, ephemeral keys and AEAD only. Nothing renegotiates. */
export function tlsOptions({ key, cert }: TlsCredentials) {
  return {
    key,
    cert,
    minVersion: 'TLSv1.2',
    ciphers:
      'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL',
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  } as const;
}

/** For connections from now on; those that are open keep what they began with. */
export function renewSecureContext(server: Server, credentials: TlsCredentials): void {
  server.setSecureContext(tlsOptions(credentials));
}
