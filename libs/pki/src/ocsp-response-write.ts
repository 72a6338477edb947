import type { CertId } from './cert-id.js';
import type { CrlReason } from './crl.js';
import { CRL_REASON_CODES } from './crl.js';
import { der } from './der/write.js';
import { encodeExtension } from './extension.js';
import { OID } from './oids.js';
import type { OcspErrorStatus } from './ocsp-request.js';

/** CertStatus of RFC 6960 section 4.2.1; reason 'unspecified' is expressed by leaving it out. */
export type CertStatus =
  { status: 'good' } | { status: 'revoked'; at: Date; reason: CrlReason } | { status: 'unknown' };

export interface SingleResponse {
  certId: CertId;
  status: CertStatus;
  /** When the status was known to be true (O30). */
  thisUpdate: Date;
  nextUpdate: Date;
  /** How far back status is kept past expiry, where retention is promised (O29). */
  archiveCutoff?: Date;
}

export interface OcspResponseFields {
  /** SHA-1 of the bits of the responder's public key, whatever hash the CertIDs use (O32). */
  responderKeyId: Buffer;
  producedAt: Date;
  responses: SingleResponse[];
  nonce: Buffer | undefined;
  /** States that never-issued serials are answered as revoked (O26, RFC 6960 section 4.4.8). */
  extendedRevoke?: boolean;
}

/** OCSPResponseStatus, RFC 6960 section 4.2.1. */
export const STATUS_CODES = {
  successful: 0,
  malformedRequest: 1,
  internalError: 2,
  tryLater: 3,
  sigRequired: 5,
  unauthorized: 6,
} as const;

/** DER of the ResponseData to be signed, RFC 6960 section 4.2.1, responder by key. Times are cut to whole seconds. */
export function encodeOcspResponseData(fields: OcspResponseFields): Buffer {
  const extensions: Buffer[] = [];
  if (fields.nonce !== undefined) extensions.push(unmarked(OID.ocspNonce, der.octetString(fields.nonce)));
  if (fields.extendedRevoke === true) extensions.push(unmarked(OID.ocspExtendedRevoke, der.null()));
  return der.sequence(
    der.constructed(2, der.octetString(fields.responderKeyId)),
    der.generalizedTime(fields.producedAt),
    der.sequence(...fields.responses.map(encodeSingle)),
    ...(extensions.length === 0 ? [] : [der.constructed(1, der.sequence(...extensions))]),
  );
}

/** The whole OCSPResponse around signed ResponseData; `certificates` (DER) lead from the signer to the CA, or are empty. */
export function assembleOcspResponse(
  data: Buffer,
  algorithmDer: Buffer,
  signature: Buffer,
  certificates: Buffer[],
): Buffer {
  const certs = certificates.length === 0 ? [] : [der.constructed(0, der.sequence(...certificates))];
  const basic = der.sequence(data, algorithmDer, der.bitString(signature), ...certs);
  const responseBytes = der.sequence(der.oid(OID.ocspBasic), der.octetString(basic));
  return der.sequence(der.enumerated(STATUS_CODES.successful), der.constructed(0, responseBytes));
}

/** An unsigned OCSPResponse that says why there is no answer; responseBytes are absent (O20). */
export function ocspError(status: OcspErrorStatus): Buffer {
  return der.sequence(der.enumerated(STATUS_CODES[status]));
}

function encodeSingle(single: SingleResponse): Buffer {
  const cutoff = single.archiveCutoff;
  const extensions =
    cutoff === undefined
      ? []
      : [der.constructed(1, der.sequence(unmarked(OID.ocspArchiveCutoff, der.generalizedTime(cutoff))))];
  return der.sequence(
    single.certId.der,
    encodeStatus(single.status),
    der.generalizedTime(single.thisUpdate),
    der.constructed(0, der.generalizedTime(single.nextUpdate)),
    ...extensions,
  );
}

function encodeStatus(status: CertStatus): Buffer {
  switch (status.status) {
    case 'good':
      return der.primitive(0, Buffer.alloc(0));
    case 'revoked': {
      const reason =
        status.reason === 'unspecified' ? [] : [der.constructed(0, der.enumerated(CRL_REASON_CODES[status.reason]))];
      return der.constructed(1, der.generalizedTime(status.at), ...reason);
    }
    case 'unknown':
      return der.primitive(2, Buffer.alloc(0));
  }
}

/** Non-critical, as every extension of a response is. */
function unmarked(oid: string, value: Buffer): Buffer {
  return encodeExtension({ oid, critical: false, value });
}
