import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { AuthorityError } from '#kernel';
import { DerReader, digestByOid, OID, type SignatureDigest } from '#pki';
import type { CmcControl, PkiData } from './pki-data.js';

/** The controls of a request, each at most once but revocations. */
export interface CmcControls {
  /** DER of the INTEGER, given back as it came. */
  transactionId: Buffer | undefined;
  senderNonce: Buffer | undefined;
  /** Names whose shared secret an identity proof is by. */
  identification: string | undefined;
  identityProof: IdentityProof | undefined;
  revocations: RevocationRequest[];
  /** Body parts with controls that nothing is known of: the whole request fails (RFC 5272 section 3.2.1.1). */
  unknown: number[];
}

export interface IdentityProof {
  bodyPartId: number;
  /** Of the shared secret, and of the HMAC. */
  hash: SignatureDigest;
  mac: SignatureDigest;
  witness: Buffer;
}

export interface RevocationRequest {
  bodyPartId: number;
  issuerDer: Buffer;
  /** Lower-case hex of the INTEGER's content. */
  serial: string;
  /** CRLReason by its number. */
  reason: number;
}

const MAX_OCTETS = 256;
/** As many as requests: each costs a transaction and an audit entry. */
const MAX_REVOCATIONS = 16;
const MACS: ReadonlyMap<string, SignatureDigest> = new Map([
  [OID.hmacWithSha256, 'sha256'],
  [OID.hmacWithSha384, 'sha384'],
  [OID.hmacWithSha512, 'sha512'],
]);

/**
 * Reads the controls. Throws `malformed`; `invalid` (code `unsupportedAlgorithm`) for an identity proof by SHA-1, which the first
 * version of that control is fixed to, or by another algorithm that is not taken.
 */
export function readCmcControls({ controls }: Pick<PkiData, 'controls'>): CmcControls {
  const found: CmcControls = {
    transactionId: undefined,
    senderNonce: undefined,
    identification: undefined,
    identityProof: undefined,
    revocations: [],
    unknown: [],
  };
  const seen = new Set<string>();
  for (const control of controls) {
    if (control.type !== OID.cmcRevokeRequest) {
      if (seen.has(control.type)) throw malformed('has a control twice');
      seen.add(control.type);
    }
    readControl(found, control);
  }
  return found;
}

function readControl(found: CmcControls, control: CmcControl): void {
  switch (control.type) {
    case OID.cmcTransactionId:
      found.transactionId = transactionIdOf(valueOf(control));
      break;
    case OID.cmcSenderNonce:
      found.senderNonce = octetsOf(valueOf(control));
      break;
    case OID.cmcIdentification:
      found.identification = textOf(valueOf(control));
      break;
    case OID.cmcIdentityProof:
      throw new AuthorityError('invalid', 'identityProof is by SHA-1; send identityProofV2 with SHA-256 or better', {
        code: 'unsupportedAlgorithm',
      });
    case OID.cmcIdentityProofV2:
      found.identityProof = readIdentityProof(control.bodyPartId, valueOf(control));
      break;
    case OID.cmcRevokeRequest:
      if (found.revocations.length + control.values.length > MAX_REVOCATIONS) {
        throw malformed(`revokes more than ${MAX_REVOCATIONS} certificates`);
      }
      for (const value of control.values) found.revocations.push(readRevocation(control.bodyPartId, value));
      break;
    case OID.cmcRecipientNonce:
    case OID.cmcRegInfo:
      break;
    default:
      found.unknown.push(control.bodyPartId);
  }
}

function valueOf({ values }: CmcControl): Buffer {
  const [value] = values;
  if (value === undefined || values.length > 1) throw malformed('has a control with another number of values than one');
  return value;
}

function transactionIdOf(value: Buffer): Buffer {
  const reader = DerReader.open(value, 'transactionId');
  reader.integer();
  reader.finish();
  if (value.length > MAX_OCTETS) reader.fail('is too long');
  return value;
}

function octetsOf(value: Buffer): Buffer {
  const reader = DerReader.open(value, 'nonce');
  const octets = reader.octetString();
  reader.finish();
  if (octets.length === 0 || octets.length > MAX_OCTETS) reader.fail('is empty or too long');
  return octets;
}

function textOf(value: Buffer): string {
  const reader = DerReader.open(value, 'identification');
  const text = reader.text();
  reader.finish();
  if (text === '' || text.length > MAX_OCTETS) reader.fail('is empty or too long');
  return text;
}

/** RFC 5272 section 6.2.1. */
function readIdentityProof(bodyPartId: number, value: Buffer): IdentityProof {
  const proof = DerReader.openSequence(value, 'identityProofV2');
  const hash = digestByOid(algorithmOf(proof));
  const mac = MACS.get(algorithmOf(proof));
  if (mac === undefined) {
    throw new AuthorityError('invalid', 'the identity proof is by a MAC that is not taken; use HMAC with SHA-256', {
      code: 'unsupportedAlgorithm',
    });
  }
  const witness = proof.octetString();
  proof.finish();
  return { bodyPartId, hash, mac, witness };
}

function algorithmOf(reader: DerReader): string {
  const algorithm = reader.sequence();
  const oid = algorithm.oid();
  if (!algorithm.done) algorithm.null();
  algorithm.finish();
  return oid;
}

/** RFC 5272 section 6.11; date, passphrase and comment change nothing here. */
function readRevocation(bodyPartId: number, value: Buffer): RevocationRequest {
  const revocation = DerReader.openSequence(value, 'revokeRequest');
  const issuerDer = revocation.element();
  const serial = revocation.integer().toString('hex');
  const reason = revocation.enumerated();
  return { bodyPartId, issuerDer, serial, reason };
}

/**
 * The witness that who knows the secret computes: HMAC over reqSequence, under the hash of the secret and, where there is one, of the
 * identification behind it (RFC 5272 sections 6.2.1 and 6.2.3).
 */
export function identityWitness(
  proof: Pick<IdentityProof, 'hash' | 'mac'>,
  secret: string,
  identification: string | undefined,
  reqSequence: Buffer,
): Buffer {
  const key = createHash(proof.hash)
    .update(secret)
    .update(identification ?? '')
    .digest();
  return createHmac(proof.mac, key).update(reqSequence).digest();
}

/** In constant time. */
export function checkIdentityProof(
  proof: IdentityProof,
  secret: string,
  identification: string | undefined,
  reqSequence: Buffer,
): boolean {
  const wanted = identityWitness(proof, secret, identification, reqSequence);
  return proof.witness.length === wanted.length && timingSafeEqual(proof.witness, wanted);
}

const malformed = (problem: string): AuthorityError => new AuthorityError('malformed', `the CMC request ${problem}`);
