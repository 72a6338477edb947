import { readCertId } from './cert-id.js';
import { crlReasonOf } from './crl.js';
import { DerReader } from './der/read.js';
import { contextTag, TAG } from './der/tags.js';
import { readExtensions } from './extension.js';
import { OID } from './oids.js';
import type { OcspErrorStatus } from './ocsp-request.js';
import type { CertStatus, SingleResponse } from './ocsp-response-write.js';
import { STATUS_CODES } from './ocsp-response-write.js';

export interface BasicOcspResponse {
  status: 'successful' | OcspErrorStatus;
  responses: SingleResponse[];
  producedAt: Date;
  /** The ResponseData that was signed. */
  data: Buffer;
  signature: Buffer;
  signatureAlgorithmDer: Buffer;
  nonce: Buffer | undefined;
  certificates: Buffer[];
  /** undefined where the responder is named by its Name. */
  responderKeyId: Buffer | undefined;
}

const WHAT = 'OCSP response';
/** Room for the largest post-quantum delegate chain. */
const LIMITS = { maxBytes: 262_144, maxDepth: 24, maxNodes: 16_384 };

/**
 * Reads an OCSPResponse. An error status comes back with empty members, since such a response says nothing else. The
 * signature is not checked. Throws `malformed` (`tooLarge`) for everything else, also for an answer without nextUpdate or
 * with a CertID hash that is not ours: the profile of RFC 9919 has neither.
 */
export function readOcspResponse(bytes: Buffer): BasicOcspResponse {
  const outer: DerReader = DerReader.openSequence(bytes, WHAT, LIMITS);
  const code = outer.enumerated();
  const status = Object.entries(STATUS_CODES).find(([, value]) => value === code)?.[0] as
    BasicOcspResponse['status'] | undefined;
  if (status === undefined) outer.fail(`has the undefined status ${code}`);
  const explicit = outer.optionalContext(0);
  outer.finish();
  if (status !== 'successful') {
    if (explicit !== undefined) outer.fail('has both an error status and an answer');
    return errorResponse(status);
  }
  if (explicit === undefined) outer.fail('has no answer');
  const responseBytes = explicit.sequence();
  explicit.finish();
  if (responseBytes.oid() !== OID.ocspBasic) outer.fail('is not of the basic type');
  const basic = responseBytes.octetString();
  responseBytes.finish();
  return { status, ...readBasic(basic) };
}

function errorResponse(status: OcspErrorStatus): BasicOcspResponse {
  const none = Buffer.alloc(0);
  return {
    status,
    responses: [],
    producedAt: new Date(0),
    data: none,
    signature: none,
    signatureAlgorithmDer: none,
    nonce: undefined,
    certificates: [],
    responderKeyId: undefined,
  };
}

function readBasic(bytes: Buffer): Omit<BasicOcspResponse, 'status'> {
  const basic = DerReader.openSequence(bytes, WHAT, LIMITS);
  const data = basic.peekElement();
  const fields = readResponseData(basic.sequence());
  const signatureAlgorithmDer = basic.peekElement();
  basic.sequence();
  const signature = basic.wholeBitString();
  const certificates: Buffer[] = [];
  const explicit = basic.optionalContext(0);
  const list = explicit?.sequence();
  explicit?.finish();
  while (list !== undefined && !list.done) {
    if (list.peekTag() !== TAG.sequence) list.fail('has a certificate that is none');
    certificates.push(list.element());
  }
  basic.finish();
  return { ...fields, data, signature, signatureAlgorithmDer, certificates };
}

function readResponseData(
  data: DerReader,
): Pick<BasicOcspResponse, 'responderKeyId' | 'producedAt' | 'responses' | 'nonce'> {
  const version = data.optionalContext(0);
  if (version !== undefined && version.smallInteger() !== 0) data.fail('is not of version v1');
  const byName = data.optionalContext(1);
  byName?.sequence();
  byName?.finish();
  const byKey = byName === undefined ? data.enter(0xa2) : undefined;
  const responderKeyId = byKey?.octetString();
  byKey?.finish();
  const producedAt = data.generalizedTime();
  const responses: SingleResponse[] = [];
  const list = data.sequence();
  while (!list.done) responses.push(readSingle(list.sequence()));
  const nonceValue = readValues(data.optionalContext(1)).get(OID.ocspNonce);
  data.finish();
  return { responderKeyId, producedAt, responses, nonce: nonceValue && readInner(nonceValue, (r) => r.octetString()) };
}

function readSingle(single: DerReader): SingleResponse {
  const certId = readCertId(single) ?? single.fail('has a CertID under a hash that is not known here');
  const status = readStatus(single);
  const thisUpdate = single.generalizedTime();
  const next = single.optionalContext(0) ?? single.fail('has no nextUpdate');
  const nextUpdate = next.generalizedTime();
  next.finish();
  const cutoff = readValues(single.optionalContext(1)).get(OID.ocspArchiveCutoff);
  single.finish();
  const read = { certId, status, thisUpdate, nextUpdate };
  return cutoff === undefined ? read : { ...read, archiveCutoff: readInner(cutoff, (r) => r.generalizedTime()) };
}

function readStatus(single: DerReader): CertStatus {
  const revoked = single.optionalContext(1);
  if (revoked === undefined) {
    const good = single.peekTag() === contextTag(0);
    const content = good ? single.optionalContextBytes(0) : single.optionalContextBytes(2);
    if (content?.length !== 0) single.fail('has a certificate status that is not defined');
    return { status: good ? 'good' : 'unknown' };
  }
  const at = revoked.generalizedTime();
  const explicit = revoked.optionalContext(0);
  const reason = explicit === undefined ? 'unspecified' : crlReasonOf(explicit.enumerated());
  explicit?.finish();
  revoked.finish();
  return { status: 'revoked', at, reason: reason ?? revoked.fail('has a revocation reason that is not defined') };
}

/** Values by OID. A critical extension is refused: none that changes a response's meaning is known here. */
function readValues(explicit: DerReader | undefined): Map<string, Buffer> {
  if (explicit === undefined) return new Map();
  const extensions = readExtensions(explicit.sequence(), false);
  explicit.finish();
  const strange = extensions.find((one) => one.critical && one.oid !== OID.ocspNonce);
  if (strange !== undefined) explicit.fail(`has the critical extension ${strange.oid}, which is not known here`);
  return new Map(extensions.map((one) => [one.oid, one.value]));
}

function readInner<T>(value: Buffer, read: (reader: DerReader) => T): T {
  const reader = DerReader.open(value, WHAT, LIMITS);
  const result = read(reader);
  reader.finish();
  return result;
}
