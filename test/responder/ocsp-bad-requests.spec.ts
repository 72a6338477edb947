import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { OID, readCertificate, type BasicOcspResponse } from '#pki';
import { startInstance, type PublishingInstance } from '../publication/instance.js';
import {
  certIdOf,
  contextTag,
  der,
  extension,
  failed,
  nonceExtension,
  ocspRequest,
  startResponder,
  verifiedBy,
  type Exchange,
  type RunningResponder,
} from './exchange.js';

let instance: PublishingInstance;
let responder: RunningResponder;
let good: string;
beforeAll(async () => {
  instance = await startInstance();
  responder = await startResponder(instance);
  good = await instance.issue();
});
afterAll(async () => {
  await responder.close();
  await instance.close();
});

const verified = (exchange: Exchange): BasicOcspResponse => verifiedBy(instance.issuing, exchange);

describe('bad requests', () => {
  const valid = (): Buffer => ocspRequest([certIdOf(instance.issuing, good)]);
  const id = () => certIdOf(instance.issuing, good);

  const malformed: [string, () => Buffer][] = [
    ['OX01 empty', () => Buffer.alloc(0)],
    ['OX02 truncated', () => valid().subarray(0, -3)],
    ['OX02 not DER', () => Buffer.from('GET / HTTP/1.1')],
    ['OX03 trailing bytes', () => Buffer.concat([valid(), Buffer.of(0)])],
    ['OX06 empty list', () => ocspRequest([])],
    [
      'OX07 version v2',
      () => der.sequence(der.sequence(der.constructed(0, der.integer(1)), der.sequence(der.sequence(id().der)))),
    ],
    [
      'OX09 hash of wrong length',
      () =>
        ocspRequest([
          der.sequence(
            der.sequence(der.oid(OID.sha256), der.null()),
            der.octetString(Buffer.alloc(20)),
            der.octetString(Buffer.alloc(20)),
            der.integer(1),
          ),
        ]),
    ],
    ['OX11 empty nonce', () => ocspRequest([id()], [nonceExtension(Buffer.alloc(0))])],
    ['OX11 nonce of 129', () => ocspRequest([id()], [nonceExtension(Buffer.alloc(129))])],
    ['OX11 bare nonce', () => ocspRequest([id()], [extension(OID.ocspNonce, Buffer.from('0102', 'hex'))])],
    ['OX12 nonce twice', () => ocspRequest([id()], [nonceExtension(randomBytes(16)), nonceExtension(randomBytes(16))])],
    ['OX13 unknown critical', () => ocspRequest([id()], [extension('1.2.3.4', der.null(), true)])],
    ['OX16 33 entries', () => ocspRequest(Array.from({ length: 33 }, id))],
  ];
  test.each(malformed)('%s -> malformedRequest', async (_name, make) => {
    expect(failed(await responder.post(make()))).toBe('malformedRequest');
  });

  const unauthorized: [string, () => Buffer][] = [
    [
      'OX08 unknown hash',
      () =>
        ocspRequest([
          der.sequence(
            der.sequence(der.oid('1.2.840.113549.2.5'), der.null()),
            der.octetString(Buffer.alloc(16)),
            der.octetString(Buffer.alloc(16)),
            der.integer(1),
          ),
        ]),
    ],
    ['SHA-384', () => ocspRequest([certIdOf(instance.issuing, good, 'sha384')])],
    [
      'OX14 another issuer',
      () => {
        const { hash, serial } = id();
        const other = { ...instance.issuing, subjectDer: der.sequence() };
        return ocspRequest([certIdOf(other, serial, hash)]);
      },
    ],
    [
      'OX15 name of one CA, key of another',
      () => ocspRequest([certIdOf({ ...instance.issuing, publicKey: instance.root.publicKey }, good)]),
    ],
    [
      'O40 two issuers',
      () => ocspRequest([id(), certIdOf(instance.root, readCertificate(instance.issuing.certificate).serial)]),
    ],
    [
      'OX22 no basic',
      () => ocspRequest([id()], [extension(OID.ocspAcceptableResponses, der.sequence(der.oid('1.2.3')))]),
    ],
  ];
  test.each(unauthorized)('%s -> unauthorized', async (_name, make) => {
    expect(failed(await responder.post(make()))).toBe('unauthorized');
  });

  test('an unknown non-critical extension is ignored, requestorName is served (O39)', async () => {
    const name = der.tagged(contextTag(4) | 0x20, der.sequence());
    const request = der.sequence(der.sequence(der.constructed(1, name), der.sequence(der.sequence(id().der))));
    expect(verified(await responder.post(request)).responses).toHaveLength(1);
    expect(
      verified(await responder.post(ocspRequest([id()], [extension('1.2.3.4', der.null())]))).responses,
    ).toHaveLength(1);
  });

  test('OX18 wrong or no Content-Type -> 415', async () => {
    expect((await responder.post(valid(), 'application/json')).status).toBe(415);
    expect((await responder.exchange('POST', '/ocsp', { body: valid() })).status).toBe(415);
    expect((await responder.post(valid(), 'Application/OCSP-Request; x=1')).status).toBe(200);
  });

  test('OX19 other methods -> 405 with Allow, whatever the body', async () => {
    for (const method of ['PUT', 'DELETE', 'PATCH']) {
      const exchange = await responder.exchange(method, '/ocsp', { body: Buffer.alloc(30_000) });
      expect([exchange.status, exchange.headers.allow]).toEqual([405, 'GET, HEAD, POST']);
    }
  });

  test('OX20 over 16 KiB -> 413, nothing is kept of it', async () => {
    expect((await responder.post(Buffer.alloc(16 * 1024))).status).toBe(200);
    const exchange = await responder.post(Buffer.alloc(16 * 1024 + 1));
    expect([exchange.status, exchange.headers['cache-control']]).toEqual([413, 'no-store']);
  });
});
