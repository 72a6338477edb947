import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { addSeconds } from '#kernel';
import { OID, readCertificate, readOcspResponse, type BasicOcspResponse } from '#pki';
import { publishOcspAnswer } from '#publication';
import { findOcspAnswer } from '#store';
import { startInstance, type PublishingInstance } from '../publication/instance.js';
import {
  certIdOf,
  der,
  extension,
  nonceExtension,
  ocspRequest,
  failed,
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

const verified = (exchange: Exchange, issuer = instance.issuing): BasicOcspResponse => verifiedBy(issuer, exchange);
const ask = async (serial: string, issuer = instance.issuing): Promise<Exchange> =>
  responder.post(ocspRequest([certIdOf(issuer, serial)]));
const statusOf = async (serial: string): Promise<string | undefined> =>
  verified(await ask(serial)).responses[0]?.status.status;

async function changed(...change: Parameters<PublishingInstance['change']>): Promise<void> {
  const seq = await instance.change(...change);
  await responder.follower.catchUp(seq);
}

describe('an OCSP answer', () => {
  test('is good for an issued certificate, under SHA-1 and SHA-256, with the CertID as sent (O21, O22, O24)', async () => {
    for (const hash of ['sha1', 'sha256'] as const) {
      const certId = certIdOf(instance.issuing, good, hash);
      const [single] = verified(await responder.post(ocspRequest([certId]))).responses;
      expect(single?.status).toEqual({ status: 'good' });
      expect(single?.certId.der).toEqual(certId.der);
    }
  });

  test('is kept for a short request, and signed each time for one that would fill the memory', async () => {
    const certId = certIdOf(instance.issuing, await instance.issue());
    const padded = (length: number): Buffer =>
      ocspRequest([certId], [extension('1.3.6.1.4.1.99999.1', Buffer.alloc(length))]);
    const [short, long] = [padded(200), padded(512)];
    expect([short.length <= 512, long.length > 512]).toEqual([true, true]);
    const bodies: Buffer[] = [];
    for (const request of [short, short, long, long]) {
      const exchange = await responder.post(request);
      verified(exchange);
      bodies.push(exchange.body);
    }
    expect(bodies[0]).toEqual(bodies[1]);
    expect(bodies[2]).not.toEqual(bodies[3]);
  });

  test('repeats a CertID that another client encodes differently, also from what is published', async () => {
    const serial = await instance.issue();
    await changed(serial, 'revoked', 'superseded');
    await publishOcspAnswer(instance.publisher, [instance.issuing], serial);
    const usual = certIdOf(instance.issuing, serial);
    const withoutNull = der.sequence(
      der.sequence(der.oid(OID.sha256)),
      der.octetString(usual.issuerNameHash),
      der.octetString(usual.issuerKeyHash),
      der.tagged(0x02, Buffer.from(serial, 'hex')),
    );
    expect(verified(await responder.post(ocspRequest([withoutNull]))).responses[0]?.certId.der).toEqual(withoutNull);
  });

  test('changes at once when the follower applies: revoked, hold, release (O24, O41)', async () => {
    const serial = await instance.issue();
    expect(await statusOf(serial)).toBe('good');
    await changed(serial, 'onHold', 'certificateHold');
    expect(verified(await ask(serial)).responses[0]?.status).toMatchObject({
      status: 'revoked',
      reason: 'certificateHold',
    });
    await changed(serial, 'active', null);
    expect(await statusOf(serial)).toBe('good');
    const at = addSeconds(instance.clock.now(), -60);
    await changed(serial, 'revoked', 'keyCompromise', at);
    expect(verified(await ask(serial)).responses[0]?.status).toEqual({
      status: 'revoked',
      at: new Date(Math.floor(at.getTime() / 1000) * 1000),
      reason: 'keyCompromise',
    });
  });

  test('is unknown for a serial never issued, one not yet signed, and one of another issuer (O25)', async () => {
    expect(await statusOf('01' + '42'.repeat(16))).toBe('unknown');
    expect(await statusOf(await instance.issue({ state: 'issuing' }))).toBe('unknown');
    expect(await statusOf(await instance.issue({ issuer: instance.root }))).toBe('unknown');
  });

  test('is refused about a certificate without revocation service, good or revoked, also beside others (X28)', async () => {
    const serial = await instance.issue({ published: false });
    const beside = () => responder.post(ocspRequest([good, serial].map((one) => certIdOf(instance.issuing, one))));
    const refused = async () => [await ask(serial), await beside()].map(({ body }) => readOcspResponse(body).status);
    expect(await refused()).toEqual(['unauthorized', 'unauthorized']);
    await changed(serial, 'revoked', 'keyCompromise');
    expect(await publishOcspAnswer(instance.publisher, [instance.issuing], serial)).toBe('unknown');
    const stored = await instance.owner.transaction((tx) => findOcspAnswer(tx, Buffer.from(serial, 'hex'), 'sha256'));
    expect(stored).toBeUndefined();
    expect(await refused()).toEqual(['unauthorized', 'unauthorized']);
  });

  test('is unknown for negative, zero and overlong serials (OX10)', async () => {
    for (const serial of ['ff', '00', '01'.repeat(21), '01'.repeat(200)])
      expect(await statusOf(serial)).toBe('unknown');
  });

  test('exists for the issuing CA, signed by the delegate of the root (O33, O35, O41)', async () => {
    const { serial } = readCertificate(instance.issuing.certificate);
    const [single] = verified(await ask(serial, instance.root), instance.root).responses;
    expect(single?.status.status).toBe('good');
  });

  test('echoes a nonce of 1 to 128 octets and may not be cached (O11, O37)', async () => {
    for (const length of [1, 16, 32, 128]) {
      const nonce = randomBytes(length);
      const exchange = await responder.post(ocspRequest([certIdOf(instance.issuing, good)], [nonceExtension(nonce)]));
      expect(verified(exchange).nonce).toEqual(nonce);
      expect(exchange.headers['cache-control']).toMatch(/^max-age=0,/);
    }
  });

  test('covers several certificates of one issuer, in order (O21, O40)', async () => {
    const revoked = await instance.issue();
    await changed(revoked, 'revoked', 'superseded');
    const ids = [good, revoked, '0199'].map((serial) => certIdOf(instance.issuing, serial));
    const { responses } = verified(await responder.post(ocspRequest(ids)));
    expect(responses.map((one) => one.status.status)).toEqual(['good', 'revoked', 'unknown']);
    expect(responses.map((one) => one.certId.serial)).toEqual(ids.map((one) => one.serial));
  });

  test('carries times and headers that belong together (O06-O10, O30)', async () => {
    const exchange = await ask(good);
    const response = verified(exchange);
    const [single] = response.responses;
    const { headers } = exchange;
    expect(single?.thisUpdate).toEqual(response.producedAt);
    expect(single?.nextUpdate).toEqual(addSeconds(response.producedAt, instance.lifetimes.ocspNextUpdate));
    expect(headers['last-modified']).toBe(response.producedAt.toUTCString());
    expect(headers.expires).toBe(single?.nextUpdate.toUTCString());
    expect(headers.etag).toBe(`"${createHash('sha256').update(exchange.body).digest('hex')}"`);
    expect(headers['cache-control']).toBe('max-age=60, public, no-transform, must-revalidate');
    expect(headers['content-length']).toBe(String(exchange.body.length));
    expect(headers.date).toBeDefined();
    expect(headers['touchmark-seq']).toMatch(/^\d+$/);
    const again = await responder.exchange(
      'GET',
      `/ocsp/${encodeURIComponent(ocspRequest([certIdOf(instance.issuing, good)]).toString('base64'))}`,
      {
        headers: { 'If-None-Match': headers.etag },
      },
    );
    expect(again.status).toBe(304);
    expect(again.body.length).toBe(0);
    expect(again.headers.etag).toBe(headers.etag);
  });

  test('of a revoked certificate may be cached longer', async () => {
    const serial = await instance.issue();
    await changed(serial, 'revoked', 'superseded');
    expect((await ask(serial)).headers['cache-control']).toMatch(/^max-age=3600,/);
  });

  test('comes from what is published, if that is young and knows the last change', async () => {
    const serial = await instance.issue();
    await changed(serial, 'revoked', 'superseded');
    expect(await publishOcspAnswer(instance.publisher, [instance.issuing], serial)).toBe('published');
    expect(await publishOcspAnswer(instance.publisher, [instance.issuing], serial)).toBe('current');
    const stored = await instance.owner.transaction((tx) => findOcspAnswer(tx, Buffer.from(serial, 'hex'), 'sha256'));
    expect((await ask(serial)).body).toEqual(stored?.der);
  });

  test('never is an old good one put back into the table', async () => {
    const serial = await instance.issue();
    const old = (await ask(serial)).body;
    await changed(serial, 'revoked', 'keyCompromise');
    await publishOcspAnswer(instance.publisher, [instance.issuing], serial);
    const { thisUpdate, nextUpdate } = readOcspResponse(old).responses[0] ?? {};
    await instance.owner.rows(
      `update ocsp_answers set der = $1, seq = seq + 1000, this_update = $2, next_update = $3 where serial = decode($4, 'hex')`,
      [old, thisUpdate ?? null, nextUpdate ?? null, serial],
    );
    expect(await statusOf(serial)).toBe('revoked');
  });
});

describe('by GET', () => {
  const pathOf = (text: string): string => `/ocsp/${text}`;

  /** A request whose base64 has `/`, `//` or `+` in it, found by trying nonces of the wanted kind. */
  function requestWith(pattern: RegExp): string {
    for (let at = 0; at < 200_000; at++) {
      const nonce = createHash('sha256').update(String(at)).digest();
      const text = ocspRequest([certIdOf(instance.issuing, good)], [nonceExtension(nonce)]).toString('base64');
      if (pattern.test(text)) return text;
    }
    throw new Error('no such request found');
  }

  test.each([
    ['percent-encoded', /[+/].*=$/, (text: string) => encodeURIComponent(text)],
    ['bare slash and plus', /\+.*\/|\/.*\+/, (text: string) => text],
    ['two slashes in a row', /\/\//, (text: string) => text],
    ['two encoded slashes in a row', /\/\//, (text: string) => encodeURIComponent(text)],
    ['missing padding', /=$/, (text: string) => text.replace(/=+$/, '')],
    ['lower-case escapes', /[+/]/, (text: string) => text.replaceAll('/', '%2f').replaceAll('+', '%2b')],
  ])('the request arrives as it is: %s (O02, O03)', async (_name, pattern, encode) => {
    const text = requestWith(pattern);
    const exchange = await responder.exchange('GET', pathOf(encode(text)));
    expect(verified(exchange).nonce).toBeDefined();
  });

  test('HEAD answers like GET', async () => {
    const path = pathOf(encodeURIComponent(ocspRequest([certIdOf(instance.issuing, good)]).toString('base64')));
    const get = await responder.exchange('GET', path);
    const head = await responder.exchange('HEAD', path);
    expect(head.status).toBe(200);
    expect(head.body.length).toBe(0);
    expect({ ...head.headers, date: '' }).toEqual({ ...get.headers, date: '' });
  });

  test.each(['!!!', '%zz', '%ff%fe', 'AAAA', 'a-_b', 'MEIw?x=1'])(
    'no request in it is malformed: %s (OX04)',
    async (text) => {
      expect(failed(await responder.exchange('GET', pathOf(text)))).toBe('malformedRequest');
    },
  );

  test('without a request is 400, too long is 414 (OX05, OX20)', async () => {
    for (const path of ['/ocsp', '/ocsp/']) {
      const exchange = await responder.exchange('GET', path);
      expect([exchange.status, exchange.headers['cache-control']]).toEqual([400, 'no-store']);
    }
    expect((await responder.exchange('GET', pathOf('A'.repeat(20_000)))).status).toBe(414);
  });
});
