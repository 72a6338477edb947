import { expect } from '@jest/globals';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { createResponder } from '#apps/responder';
import type { Issuer } from '#authority';
import type { Clock } from '#kernel';
import {
  contextTag,
  der,
  derHeader,
  makeCertId,
  OID,
  readCertificate,
  readOcspResponse,
  verifyBytes,
  type BasicOcspResponse,
  type CertId,
} from '#pki';
import type { Follower } from '#status';
import type { PublishingInstance } from '../publication/instance.js';

export interface Exchange {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
}

export interface RunningResponder {
  base: string;
  follower: Follower;
  /** What was logged as an alarm, one JSON text each. */
  alarms: string[];
  exchange(
    method: string,
    path: string,
    options?: { headers?: http.OutgoingHttpHeaders; body?: Buffer },
  ): Promise<Exchange>;
  post(body: Buffer, contentType?: string): Promise<Exchange>;
  close(): Promise<void>;
}

export async function startResponder(
  instance: PublishingInstance,
  options: { clock?: Clock; follower?: Follower } = {},
): Promise<RunningResponder> {
  const follower = options.follower ?? (await instance.follow('responder'));
  const alarms: string[] = [];
  const app = await createResponder({
    config: { lifetimes: { ...instance.lifetimes, followerPollMs: 50 } },
    database: instance.databases.responder,
    follower,
    ocspKek: instance.ocspKek,
    clock: options.clock ?? instance.clock,
    log: pino({ level: 'error' }, { write: (line: string) => void (line.includes('ALARM:') && alarms.push(line)) }),
  });
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  const exchange: RunningResponder['exchange'] = (method, path, { headers = {}, body } = {}) =>
    new Promise((resolve, reject) => {
      const request = http.request({ host: '127.0.0.1', port, method, path, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
        );
      });
      request.on('error', reject);
      request.end(body);
    });
  return {
    base: `http://127.0.0.1:${port}`,
    follower,
    alarms,
    exchange,
    post: (body, contentType = 'application/ocsp-request') =>
      exchange('POST', '/ocsp', { headers: { 'Content-Type': contentType, 'Content-Length': body.length }, body }),
    close: () => app.close(),
  };
}

export function certIdOf(
  issuer: Pick<Issuer, 'subjectDer' | 'publicKey'>,
  serial: string,
  hash: CertId['hash'] = 'sha256',
): CertId {
  return makeCertId(hash, issuer.subjectDer, issuer.publicKey, serial);
}

/** OCSPRequest of RFC 6960 section 4.1.1 from CertIDs as they stand and extensions as given. */
export function ocspRequest(certIds: readonly (CertId | Buffer)[], extensions: readonly Buffer[] = []): Buffer {
  const entries = certIds.map((one) => der.sequence(Buffer.isBuffer(one) ? one : one.der));
  const explicit = extensions.length === 0 ? [] : [der.constructed(2, der.sequence(...extensions))];
  return der.sequence(der.sequence(der.sequence(...entries), ...explicit));
}

export function extension(oid: string, value: Buffer, critical = false): Buffer {
  return der.sequence(der.oid(oid), ...(critical ? [der.boolean(true)] : []), der.octetString(value));
}

export const nonceExtension = (nonce: Buffer): Buffer => extension(OID.ocspNonce, der.octetString(nonce));

export { contextTag, der, derHeader };

/** Reads an answer as a client must: media type, signature by the delegate in it, delegate by the CA (O33). */
export function verifiedBy(issuer: Pick<Issuer, 'publicKey'>, exchange: Exchange): BasicOcspResponse {
  expect(exchange.status).toBe(200);
  expect(exchange.headers['content-type']).toBe('application/ocsp-response');
  const response = readOcspResponse(exchange.body);
  expect(response.status).toBe('successful');
  const delegate = readCertificate(response.certificates[0] ?? Buffer.alloc(0));
  expect(
    verifyBytes(delegate.signatureAlgorithmDer, issuer.publicKey.keyObject, delegate.tbs, delegate.signature),
  ).toBe(true);
  expect(
    verifyBytes(response.signatureAlgorithmDer, delegate.publicKey.keyObject, response.data, response.signature),
  ).toBe(true);
  expect(response.responderKeyId).toEqual(delegate.publicKey.keyId);
  return response;
}

/** The error status of an answer that has one. */
export function failed(exchange: Exchange): string {
  expect(exchange.status).toBe(200);
  expect(exchange.headers['content-type']).toBe('application/ocsp-response');
  expect(exchange.headers['cache-control']).toBe('no-store');
  return readOcspResponse(exchange.body).status;
}
