import { certsOnly } from '#pki';
import { encodeBody, type LineForm } from './base64.js';
import type { EstResponse } from './response.js';

/** A private key as it is sent: in clear (TLS alone protects it), or sealed for the one who can open it. */
export interface SentKey {
  form: 'pkcs8' | 'sealed';
  der: Buffer;
}

const TYPES: Readonly<Record<SentKey['form'], string>> = {
  pkcs8: 'application/pkcs8',
  sealed: 'application/pkcs7-mime; smime-type=server-generated-key',
};

/** Belongs to the delimiter that follows, not to the part (RFC 2046 section 5.1.1). */
const LINE_END = Buffer.from('\r\n', 'latin1');
/** A hyphen is no character of base64: no line of a part can be taken for it. */
const BOUNDARY = 'est-server-generated-key';

/**
 * 200 with two parts, the key and the certificate that belongs to it, each as base64 of DER without Content-Transfer-Encoding
 * (RFC 7030 section 4.4.2, RFC 8951 section 3.2.4; E102 to E104). The body holds the key: its owner zeroes it when it is sent.
 */
export function serverKeyResponse(key: SentKey, certificate: Buffer, form: LineForm): EstResponse {
  const keyLines = encodeBody(key.der, form);
  const body = Buffer.concat([
    head(TYPES[key.form]),
    keyLines,
    LINE_END,
    head('application/pkcs7-mime; smime-type=certs-only'),
    encodeBody(certsOnly([certificate]), form),
    LINE_END,
    Buffer.from(`--${BOUNDARY}--\r\n`, 'latin1'),
  ]);
  keyLines.fill(0);
  return {
    status: 200,
    headers: {
      'Content-Type': `multipart/mixed; boundary=${BOUNDARY}`,
      'Content-Length': String(body.length),
      'Cache-Control': 'no-store',
    },
    body,
  };
}

const head = (type: string): Buffer => Buffer.from(`--${BOUNDARY}\r\nContent-Type: ${type}\r\n\r\n`, 'latin1');
