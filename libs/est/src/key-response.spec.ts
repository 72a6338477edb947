import { describe, expect, it } from '@jest/globals';
import { readCertsOnly } from '#pki';
import { decodeBody } from './base64.js';
import { csrAttributesResponse } from './csr-attributes-response.js';
import { serverKeyResponse } from './key-response.js';
import { readKeyResponse } from './testing/key-response-client.js';

const CERTIFICATE = Buffer.from('3003020105', 'hex');
const KEY = Buffer.from('3003020107', 'hex');

describe('an answer with a key', () => {
  it.each([
    ['pkcs8', 'application/pkcs8'],
    ['sealed', 'application/pkcs7-mime; smime-type=server-generated-key'],
  ] as const)('has exactly two parts, the key as %s and the certificate (E102, E103, E104)', (form, type) => {
    for (const lines of ['oneLine', 'columns64'] as const) {
      const answer = serverKeyResponse({ form, der: KEY }, CERTIFICATE, lines);
      expect(answer.status).toBe(200);
      expect(answer.headers['Content-Length']).toBe(String(answer.body.length));
      expect(answer.headers['Cache-Control']).toBe('no-store');
      expect(answer.body.toString('latin1')).not.toMatch(/transfer-encoding/i);
      const parts = readKeyResponse(answer.headers['Content-Type'], answer.body);
      expect(parts.map((part) => part.type)).toEqual([type, 'application/pkcs7-mime; smime-type=certs-only']);
      expect(decodeBody(parts[0]!.body)).toEqual(KEY);
      expect(readCertsOnly(decodeBody(parts[1]!.body))).toEqual([CERTIFICATE]);
    }
  });
});

describe('an answer to csrattrs', () => {
  it('is 204 without a body where there is nothing, else base64 of its own type (E120)', () => {
    const nothing = csrAttributesResponse(undefined, 'oneLine', { personal: false });
    expect(nothing).toMatchObject({ status: 204, body: Buffer.alloc(0) });
    const answer = csrAttributesResponse(KEY, 'oneLine', { personal: false });
    expect(answer.headers).toMatchObject({
      'Content-Type': 'application/csrattrs',
      'Cache-Control': 'public, max-age=300',
    });
    expect(answer.headers['ETag']).toMatch(/^"[0-9a-f]{64}"$/);
    expect(decodeBody(answer.body)).toEqual(KEY);
  });

  it('for one client is stored by nobody (E91, E121)', () => {
    const { headers } = csrAttributesResponse(KEY, 'oneLine', { personal: true });
    expect(headers['Cache-Control']).toBe('no-store');
    expect(headers['ETag']).toBeUndefined();
  });
});
