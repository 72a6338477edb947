import { DerReader, TAG } from '#pki';

const MAX_OCTETS = 256;
/** What a client may have given back to it. */
const MAX_RETURNED = 8_192;
const MAX_REFERENCES = 64;

/** A certificate by its issuer and serial number. */
export interface CertificateReference {
  bodyPartId: number;
  issuerDer: Buffer;
  /** Lower-case hex of the INTEGER's content. */
  serial: string;
}

export interface RevocationRequest extends CertificateReference {
  /** CRLReason by its number. */
  reason: number;
}

export interface PendingQuery {
  bodyPartId: number;
  token: Buffer;
}

/** Requests whose possession the RA says it has had proved. */
export interface PopByRa {
  bodyPartId: number;
  requests: number[];
}

export function readTransactionId(value: Buffer): Buffer {
  const reader = DerReader.open(value, 'transactionId');
  reader.integer();
  reader.finish();
  if (value.length > MAX_OCTETS) reader.fail('is too long');
  return value;
}

export function readOctets(value: Buffer, what: string): Buffer {
  const reader = DerReader.open(value, what);
  const octets = reader.octetString();
  reader.finish();
  if (octets.length === 0 || octets.length > MAX_OCTETS) reader.fail('is empty or too long');
  return octets;
}

/** RFC 5272 section 6.4: any octets, also none. */
export function readReturned(value: Buffer): Buffer {
  const reader = DerReader.open(value, 'dataReturn');
  const octets = reader.octetString();
  reader.finish();
  if (octets.length > MAX_RETURNED) reader.fail(`is longer than ${MAX_RETURNED} octets`);
  return octets;
}

export function readIdentification(value: Buffer): string {
  const reader = DerReader.open(value, 'identification');
  const text = reader.text();
  reader.finish();
  if (text === '' || text.length > MAX_OCTETS) reader.fail('is empty or too long');
  return text;
}

/** RFC 5272 section 6.11; date, passphrase and comment change nothing here. */
export function readRevocation(bodyPartId: number, value: Buffer): RevocationRequest {
  const revocation = DerReader.openSequence(value, 'revokeRequest');
  const issuerDer = revocation.element();
  const serial = revocation.integer().toString('hex');
  const reason = revocation.enumerated();
  return { bodyPartId, issuerDer, serial, reason };
}

/** CMCCertId (RFC 5272 section 6.14). */
export function readAcceptance(bodyPartId: number, value: Buffer): CertificateReference {
  const reader = DerReader.openSequence(value, 'confirmCertAcceptance');
  const issuerDer = reader.element();
  const serial = reader.integer().toString('hex');
  reader.finish();
  return { bodyPartId, issuerDer, serial };
}

/** LraPopWitness (RFC 5272 section 6.8) of requests in the message itself: nested ones are not taken. */
export function readPopByRa(bodyPartId: number, value: Buffer): PopByRa {
  const reader = DerReader.openSequence(value, 'lraPOPWitness');
  if (reader.smallInteger() !== 0) reader.fail('is about a nested message, which is not taken');
  const requests = references(reader.sequence());
  reader.finish();
  return { bodyPartId, requests };
}

/** ControlList (RFC 5272 section 6.19): a path of one step is the control itself, a longer one leads into what is nested. */
export function readProcessed(value: Buffer): number[] {
  const reader = DerReader.openSequence(value, 'controlProcessed');
  const list = reader.sequence();
  reader.finish();
  const processed: number[] = [];
  while (!list.done) {
    const path = list.peekTag() === TAG.sequence ? references(list.sequence()) : [Number(list.bigint())];
    const [first] = path;
    if (path.length === 1 && first !== undefined) processed.push(first);
  }
  return processed;
}

/** BodyPartPath. */
export function checkPath(value: Buffer): void {
  references(DerReader.openSequence(value, 'raIdentityWitness'));
}

function references(list: DerReader): number[] {
  const ids: number[] = [];
  while (!list.done) {
    if (ids.length === MAX_REFERENCES) list.fail(`refers to more than ${MAX_REFERENCES} body parts`);
    ids.push(Number(list.bigint()));
  }
  if (ids.length === 0) list.fail('refers to nothing');
  return ids;
}
