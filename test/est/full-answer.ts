import { expect } from '@jest/globals';
import { webcrypto } from 'node:crypto';
import { fromBER } from 'asn1js';
import * as pkijs from 'pkijs';
import { decodeBody, readPkiResponse, type PkiResponse } from '#est';
import { OID, readCertificate, readSignedData } from '#pki';
import { encodePkiData, signFullRequest, type FullRequest } from '../../libs/est/src/testing/cmc-client.js';
import type { DeviceKey } from '../harness/device.js';
import type { EstServer } from './est-server.js';
import type { HttpsAnswer } from './https-request.js';

export const FULL_CMC = 'application/pkcs7-mime; smime-type=CMC-request';

export const postFull = (
  server: EstServer,
  label: string,
  message: Buffer,
  options: Parameters<EstServer['call']>[2] = {},
): Promise<HttpsAnswer> =>
  server.call('POST', `/.well-known/est/${label}/fullcmc`, {
    ...options,
    headers: { 'content-type': FULL_CMC, ...options.headers },
    body: message.toString('base64'),
  });

export interface FullAnswer extends PkiResponse {
  status: number;
  /** Of devices. */
  certificates: Buffer[];
  /** Of the CAs that come with them. */
  issuers: Buffer[];
  retryAfter: string | undefined;
}

/** The answer as its receiver reads it: signed by the server whose certificate the connection had, by pkijs. */
export async function openFullAnswer(answer: HttpsAnswer): Promise<FullAnswer> {
  pkijs.setEngine('node', new pkijs.CryptoEngine({ name: 'node', crypto: webcrypto as never }));
  expect(answer.headers['content-type']).toBe('application/pkcs7-mime; smime-type=CMC-response');
  expect(answer.headers['cache-control']).toBe('no-store');
  const bytes = decodeBody(answer.body);
  const info = new pkijs.ContentInfo({ schema: fromBER(new Uint8Array(bytes).buffer).result });
  expect(await new pkijs.SignedData({ schema: info.content }).verify({ signer: 0 })).toBe(true);
  const message = readSignedData(bytes);
  expect(message.contentType).toBe('1.3.6.1.5.5.7.12.3');
  return {
    ...readPkiResponse(message.content),
    status: answer.status,
    retryAfter: answer.headers['retry-after'],
    certificates: message.certificates.filter((one) => readCertificate(one).eku?.includes(OID.clientAuth)),
    issuers: message.certificates.filter((one) => readCertificate(one).basicConstraints?.ca),
  };
}

export const signedBy = (
  { certificate, key }: { certificate: Buffer; key: DeviceKey },
  request: FullRequest,
  at = new Date(),
): Buffer => signFullRequest(encodePkiData(request), { certificate, privateKey: key.privateKey }, at);
