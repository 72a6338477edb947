import 'reflect-metadata';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { X509CertificateGenerator } from '@peculiar/x509';
import { fromBER } from 'asn1js';
import { ContentInfo, SignedData } from 'pkijs';
import { AuthorityError, ERROR_KINDS } from '#kernel';
import type { ErrorKind } from '#kernel';
import { decodeBody } from './base64.js';
import { certsOnlyResponse, errorResponse } from './response.js';

const STATUS: Readonly<Record<ErrorKind, number>> = {
  malformed: 400,
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  notFound: 404,
  methodNotAllowed: 405,
  conflict: 409,
  tooLarge: 413,
  unsupportedType: 415,
  limited: 429,
  internal: 500,
  unavailable: 503,
};

describe('certificates', () => {
  let one: Buffer;
  let two: Buffer;

  beforeAll(async () => {
    one = await certificate('One');
    two = await certificate('Two');
  });

  test('E30 E80: a certs-only CMS without signers and content, holding exactly the given certificates', () => {
    const answer = certsOnlyResponse([one], 'oneLine', { cacheable: false });
    expect(answer.status).toBe(200);
    expect(answer.headers['Content-Type']).toBe('application/pkcs7-mime; smime-type=certs-only');
    const signed = readCms(answer.body);
    expect(signed.version).toBe(1);
    expect(signed.signerInfos).toHaveLength(0);
    expect(signed.encapContentInfo.eContentType).toBe('1.2.840.113549.1.7.1');
    expect(signed.encapContentInfo.eContent).toBeUndefined();
    expect(certificatesOf(signed)).toEqual([one.toString('hex')]);
  });

  test('E91: an issued certificate is not stored by caches', () => {
    const { headers } = certsOnlyResponse([one], 'oneLine', { cacheable: false });
    expect(headers['Cache-Control']).toBe('no-store');
    expect(headers).not.toHaveProperty('ETag');
  });

  test('E36: cacerts holds no duplicate, and its ETag stays while the set stays', () => {
    const etag = (certificates: Buffer[]) =>
      certsOnlyResponse(certificates, 'oneLine', { cacheable: true }).headers['ETag'];
    expect(etag([one, two])).toMatch(/^"[0-9a-f]{64}"$/);
    expect(etag([two, one, Buffer.from(two)])).toBe(etag([one, two]));
    expect(etag([one])).not.toBe(etag([one, two]));
    const bag = certsOnlyResponse([two, one, two], 'oneLine', { cacheable: true });
    expect(certificatesOf(readCms(bag.body)).sort()).toEqual([one.toString('hex'), two.toString('hex')].sort());
    expect(bag.headers['Cache-Control']).toMatch(/^public, max-age=\d+$/);
  });

  test('E23a: the length is stated in both line forms, and caches keep the forms apart', () => {
    const [line, columns] = (['oneLine', 'columns64'] as const).map((form) =>
      certsOnlyResponse([one, two], form, { cacheable: true }),
    );
    for (const answer of [line, columns]) {
      expect(answer?.headers['Content-Length']).toBe(String(answer?.body.length));
      expect(answer?.headers['Vary']).toBe('User-Agent');
    }
    expect(decodeBody(columns?.body ?? Buffer.alloc(0))).toEqual(decodeBody(line?.body ?? Buffer.alloc(0)));
    expect(columns?.headers['ETag']).not.toBe(line?.headers['ETag']);
  });
});

describe('errors', () => {
  test.each(ERROR_KINDS.map((kind) => [kind]))('E89 E90: %s is one line of text with its status', (kind) => {
    const { status, headers, body } = errorResponse(new AuthorityError(kind, 'what is wrong\nand what to do'), '*/*');
    expect(status).toBe(STATUS[kind]);
    expect(headers['Content-Type']).toBe('text/plain; charset=utf-8');
    expect(headers['Content-Length']).toBe(String(body.length));
    expect(headers['Cache-Control']).toBe('no-store');
    expect(body.toString()).toMatch(/^[^\n]+\n$/);
    if (kind !== 'internal') expect(body.toString()).toBe('what is wrong and what to do\n');
  });

  test('E43 EX11: 401, and only 401, carries the challenge', () => {
    for (const kind of ERROR_KINDS) {
      const { status, headers } = errorResponse(new AuthorityError(kind, 'x'), undefined);
      expect(headers['WWW-Authenticate'] !== undefined).toBe(status === 401);
    }
  });

  test('EX14 EX27: 429 and 503, and only they, say when to come back: 5 s unless told, whole seconds', () => {
    for (const kind of ERROR_KINDS) {
      const after = errorResponse(new AuthorityError(kind, 'x'), undefined).headers['Retry-After'];
      expect(after).toBe(kind === 'limited' || kind === 'unavailable' ? '5' : undefined);
    }
    const told = (retryAfter: number) =>
      errorResponse(new AuthorityError('unavailable', 'x', { retryAfter }), undefined).headers['Retry-After'];
    expect([told(0), told(1.2), told(60), told(-1)]).toEqual(['0', '2', '60', '0']);
  });

  test('E90: what is not an AuthorityError, and every internal one, tells nothing of itself', () => {
    const secret = 'select secret from devices';
    for (const error of [
      new Error(secret),
      new AuthorityError('internal', secret, { code: secret, cause: new Error(secret), member: secret }),
      secret,
      undefined,
      null,
      { status: 200, kind: 'forbidden', detail: secret },
    ]) {
      for (const accept of [undefined, 'application/problem+json']) {
        const { status, body, headers } = errorResponse(error, accept);
        expect(status).toBe(500);
        expect(body.toString() + JSON.stringify(headers)).not.toContain(secret);
      }
    }
  });

  test('E90: problem+json only for a client that names it, with the same headers', () => {
    const error = new AuthorityError('unauthenticated', 'Send a secret', { code: 'noCredential', member: 'user' });
    const { status, headers, body } = errorResponse(error, 'text/plain;q=0.1, application/problem+json');
    expect(status).toBe(401);
    expect(headers['Content-Type']).toBe('application/problem+json');
    expect(headers['WWW-Authenticate']).toBeDefined();
    expect(headers['Content-Length']).toBe(String(body.length));
    expect(JSON.parse(body.toString())).toEqual({
      type: 'urn:touchmark:problem:noCredential',
      title: 'Authentication required',
      status: 401,
      detail: 'Send a secret',
      member: 'user',
    });
  });

  test('EX28: an unsupported Content-Encoding is answered with the one that is supported', () => {
    const error = new AuthorityError('unsupportedType', 'x', { code: 'contentEncoding' });
    expect(errorResponse(error, undefined).headers['Accept-Encoding']).toBe('identity');
    expect(errorResponse(new AuthorityError('unsupportedType', 'x'), undefined).headers).not.toHaveProperty(
      'Accept-Encoding',
    );
  });

  test('the text is bounded', () => {
    const { body } = errorResponse(new AuthorityError('invalid', 'x'.repeat(100_000)), undefined);
    expect(body.length).toBeLessThanOrEqual(1001);
  });
});

async function certificate(name: string): Promise<Buffer> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const made = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: '01',
      name: `CN=${name}`,
      notBefore: new Date('2026-01-01T00:00:00Z'),
      notAfter: new Date('2027-01-01T00:00:00Z'),
      signingAlgorithm: algorithm,
      keys,
    },
    crypto,
  );
  return Buffer.from(made.rawData);
}

/** Read by a library of others, as a second opinion. */
function readCms(body: Buffer): SignedData {
  const der = Uint8Array.from(decodeBody(body));
  const parsed = fromBER(der.buffer);
  expect(parsed.offset).toBe(der.length);
  const content = new ContentInfo({ schema: parsed.result });
  expect(content.contentType).toBe(ContentInfo.SIGNED_DATA);
  return new SignedData({ schema: content.content as unknown });
}

function certificatesOf(signed: SignedData): string[] {
  return (signed.certificates ?? []).map((entry) => {
    const schema = entry.toSchema() as { toBER(): ArrayBuffer };
    return Buffer.from(schema.toBER()).toString('hex');
  });
}
