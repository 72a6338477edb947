import { addSeconds } from '#kernel';
import {
  assembleOcspResponse,
  encodeOcspResponseData,
  signatureAlgorithm,
  signBytes,
  type CertId,
  type CertStatus,
} from '#pki';
import type { OcspDelegate, StatusEntry } from '#status';
import type { KnownSerial } from '#store';
import { crlReason } from './crl-scope.js';

export interface OcspAnswer {
  der: Buffer;
  thisUpdate: Date;
  nextUpdate: Date;
}

/**
 * Signs one answer with the delegate. `thisUpdate`: whole second at which the statuses were true; it is producedAt too, so
 * that Last-Modified may name either (O08). nextUpdate: `lifetime` seconds later, never past the delegate's end.
 */
export function signOcspAnswer(
  delegate: OcspDelegate,
  answer: {
    responses: readonly { certId: CertId; status: CertStatus }[];
    thisUpdate: Date;
    lifetime: number;
    nonce: Buffer | undefined;
  },
): OcspAnswer {
  const { thisUpdate, nonce } = answer;
  const wished = addSeconds(thisUpdate, answer.lifetime);
  const nextUpdate = wished < delegate.notAfter ? wished : delegate.notAfter;
  const data = encodeOcspResponseData({
    responderKeyId: delegate.keyId,
    producedAt: thisUpdate,
    responses: answer.responses.map(({ certId, status }) => ({ certId, status, thisUpdate, nextUpdate })),
    nonce,
  });
  const signature = signBytes(delegate.keyType, delegate.privateKey, data);
  const algorithm = signatureAlgorithm(delegate.keyType).der;
  return { der: assembleOcspResponse(data, algorithm, signature, [delegate.certificate]), thisUpdate, nextUpdate };
}

/**
 * What is true of a certificate by the log (`entry`: its newest row) and the serials. A serial that was never taken, or
 * whose certificate was never signed and so never sent, is unknown, never good (O25). undefined: an abandoned serial
 * whose revocation, written in the same transaction, has not been followed yet.
 */
export function certStatus(entry: StatusEntry | undefined, known: KnownSerial | undefined): CertStatus | undefined {
  if (entry?.status === 'onHold') return { status: 'revoked', at: entry.at, reason: 'certificateHold' };
  if (entry?.status === 'revoked') return { status: 'revoked', at: entry.at, reason: crlReason(entry.reason) };
  switch (known?.state) {
    case 'issued':
      return { status: 'good' };
    case 'abandoned':
      return undefined;
    default:
      return { status: 'unknown' };
  }
}
