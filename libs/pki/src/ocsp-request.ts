import { isAuthorityError } from '#kernel';
import type { CertId } from './cert-id.js';
import { readCertId } from './cert-id.js';
import { DerReader } from './der/read.js';
import { walkDer } from './der/walk.js';
import type { Extension } from './extension.js';
import { readExtensions } from './extension.js';
import { OID } from './oids.js';

export type OcspErrorStatus = 'malformedRequest' | 'internalError' | 'tryLater' | 'sigRequired' | 'unauthorized';

/** Why a request gets no answer; `status` is what the client is told (RFC 6960 section 2.3), `message` is for logs. */
export class OcspRequestError extends Error {
  readonly status: OcspErrorStatus;

  constructor(status: OcspErrorStatus, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'OcspRequestError';
    this.status = status;
  }
}

export interface OcspRequest {
  /** In the order of the request, at least one, at most 32. */
  certIds: CertId[];
  /** 1 to 128 octets (RFC 9654 section 2.1); those of 16 to 32 are to be echoed, others may be. */
  nonce: Buffer | undefined;
  /** A signature is present. It is not checked here: a policy that needs one answers sigRequired without it (O39, OX17). */
  signed: boolean;
}

const MAX_CERT_IDS = 32;
const MAX_NONCE_OCTETS = 128;
const WHAT = 'OCSP request';

/**
 * Reads an OCSPRequest, RFC 6960 section 4.1.1. An explicit version v1 and an explicit `critical FALSE` are let through,
 * since old Java clients write them; everything else must be DER. Throws OcspRequestError: `malformedRequest` for
 * structure, version, nonce, unknown critical or repeated extensions and more than 32 entries; `unauthorized` for a CertID
 * hash that is not answered or for `acceptableResponses` without the basic type (OX22).
 */
export function readOcspRequest(bytes: Buffer): OcspRequest {
  try {
    walkDer(bytes, WHAT);
    return readRequest(bytes);
  } catch (error) {
    if (isAuthorityError(error)) throw new OcspRequestError('malformedRequest', error.detail, { cause: error });
    throw error;
  }
}

function readRequest(bytes: Buffer): OcspRequest {
  const outer = DerReader.openSequence(bytes, WHAT);
  const tbs = outer.sequence();
  const signature = outer.optionalContext(0);
  if (signature !== undefined) readSignature(signature);
  outer.finish();

  const version = tbs.optionalContext(0);
  if (version !== undefined) {
    if (version.smallInteger() !== 0) tbs.fail('is not of version v1');
    version.finish();
  }
  const requestorName = tbs.optionalContext(1);
  requestorName?.skip();
  requestorName?.finish();
  const certIds = readRequestList(tbs.sequence());
  const extensions = tbs.optionalContext(2);
  const nonce = extensions === undefined ? undefined : readRequestExtensions(extensions);
  tbs.finish();

  const known = certIds.filter((certId) => certId !== undefined);
  if (known.length < certIds.length) {
    throw new OcspRequestError('unauthorized', `${WHAT} names an issuer by a hash that is not answered`);
  }
  return { certIds: known, nonce, signed: signature !== undefined };
}

function readRequestList(list: DerReader): (CertId | undefined)[] {
  const certIds: (CertId | undefined)[] = [];
  while (!list.done) {
    if (certIds.length === MAX_CERT_IDS) list.fail(`asks for more than ${MAX_CERT_IDS} certificates`);
    const request = list.sequence();
    certIds.push(readCertId(request));
    const extensions = request.optionalContext(0);
    if (extensions !== undefined) {
      for (const extension of readExtensions(extensions.sequence(), false)) refuseIfCritical(extension, extensions);
      extensions.finish();
    }
    request.finish();
  }
  if (certIds.length === 0) list.fail('asks for no certificate');
  return certIds;
}

/** The nonce, if there is one; checks the rest. */
function readRequestExtensions(explicit: DerReader): Buffer | undefined {
  let nonce: Buffer | undefined;
  for (const extension of readExtensions(explicit.sequence(), false)) {
    switch (extension.oid) {
      case OID.ocspNonce:
        nonce = readNonce(extension.value);
        break;
      case OID.ocspAcceptableResponses:
        requireBasic(extension.value);
        break;
      case OID.ocspPreferredSignatureAlgorithms:
        break;
      default:
        refuseIfCritical(extension, explicit);
    }
  }
  explicit.finish();
  return nonce;
}

function refuseIfCritical(extension: Extension, reader: DerReader): void {
  if (extension.critical) reader.fail(`has the critical extension ${extension.oid}, which is not known here`);
}

/** RFC 9654 section 2.1: an OCTET STRING inside extnValue. */
function readNonce(value: Buffer): Buffer {
  const reader = DerReader.open(value, WHAT);
  const nonce = reader.octetString();
  reader.finish();
  if (nonce.length < 1 || nonce.length > MAX_NONCE_OCTETS) reader.fail(`has a nonce of ${nonce.length} octets`);
  return nonce;
}

/** RFC 6960 section 4.4.3. */
function requireBasic(value: Buffer): void {
  const types = DerReader.openSequence(value, WHAT);
  let basic = false;
  while (!types.done) if (types.oid() === OID.ocspBasic) basic = true;
  if (!basic) throw new OcspRequestError('unauthorized', `${WHAT} does not accept basic responses`);
}

/** Signature of RFC 6960 section 4.1.1: form only. */
function readSignature(explicit: DerReader): void {
  const signature = explicit.sequence();
  explicit.finish();
  signature.sequence();
  signature.bitString();
  signature.optionalContext(0)?.sequence();
  signature.finish();
}
