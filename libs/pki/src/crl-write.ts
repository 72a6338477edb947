import { AuthorityError } from '#kernel';
import { encodeAuthorityKeyId, encodeDistributionPoint, uriName } from './certificate-extensions.js';
import type { CrlEntry } from './crl.js';
import { CRL_REASON_CODES } from './crl.js';
import { DerReader } from './der/read.js';
import { TAG } from './der/tags.js';
import { der, derHeader } from './der/write.js';
import { encodeExtension } from './extension.js';
import { OID } from './oids.js';
import type { KeyType } from './public-key.js';
import { signatureAlgorithm } from './signature.js';

/** What a CRL says, apart from its entries. */
export interface CrlTemplateHead {
  issuer: { subjectDer: Buffer; keyId: Buffer; keyType: KeyType };
  /** RFC 5280 section 5.2.3: rises within issuer and scope, at most 20 octets. */
  number: bigint;
  thisUpdate: Date;
  nextUpdate: Date;
  /** URI of the shard, byte-equal to the one in the certificates' CRLDP (C17); undefined: the CRL covers everything. */
  distributionPoint: string | undefined;
  /** Limits the CRL to end-entity or to CA certificates (C19). */
  scope?: 'user' | 'ca';
  /** Makes it a delta CRL on the complete CRL of this number (C07). */
  deltaBase?: bigint;
  /** Where the delta of this complete CRL is found (C11). */
  freshestCrlUri?: string;
}

export interface CrlTemplate extends CrlTemplateHead {
  entries: Iterable<CrlEntry>;
}

const FIRST_CHUNK = 4 * 1024;
const LARGEST_CHUNK = 1024 * 1024;
/** SEQUENCE 2, serial 22, time 17, extensions 2 + 12 + 26; less than 128, so that every length is one octet. */
const LARGEST_ENTRY = 96;
const MAX_SERIAL_OCTETS = 20;

const REASON_EXTENSION = Buffer.from('300a0603551d1504030a0100', 'hex');
const INVALIDITY_EXTENSION = Buffer.from('30180603551d180411', 'hex');

/**
 * Writes the TBSCertList of RFC 5280 section 5.1 entry by entry. Entries go straight into a few large chunks: a million
 * of them cost their own bytes and no object each. One writer makes one list.
 */
export class CrlTbsWriter {
  private readonly head: CrlTemplateHead;
  private readonly full: Buffer[] = [];
  private chunk = Buffer.allocUnsafe(FIRST_CHUNK);
  private used = 0;
  private fullBytes = 0;
  private finished = false;
  /** Entries written so far. */
  count = 0;

  /** Throws `invalid` where the template contradicts RFC 5280: times, number, delta of itself, non-ASCII URI. */
  constructor(head: CrlTemplateHead) {
    checkHead(head);
    this.head = head;
  }

  /** Throws `invalid` for a serial that is no positive DER INTEGER of at most 20 octets, a reason that does not fit, a date without encoding. */
  add(entry: CrlEntry): void {
    if (this.finished) throw new AuthorityError('internal', 'The CRL is finished; entries cannot be added any more');
    if (entry.reason === 'removeFromCRL' && this.head.deltaBase === undefined) {
      throw new AuthorityError('invalid', 'removeFromCRL occurs in delta CRLs only', { member: 'reason' });
    }
    if (this.chunk.length - this.used < LARGEST_ENTRY) this.nextChunk();
    const start = this.used;
    let at = writeSerial(this.chunk, start + 2, entry.serial);
    at = writeTime(this.chunk, at, entry.revokedAt);
    at = writeEntryExtensions(this.chunk, at, entry);
    this.chunk[start] = 0x30;
    this.chunk[start + 1] = at - start - 2;
    this.used = at;
    this.count += 1;
  }

  /** The whole TBSCertList; the writer is used up. */
  finish(): Buffer {
    if (this.finished) throw new AuthorityError('internal', 'The CRL is finished already');
    this.finished = true;
    const entries = [...this.full, this.chunk.subarray(0, this.used)];
    const entryBytes = this.fullBytes + this.used;
    const before = Buffer.concat([
      der.integer(1),
      signatureAlgorithm(this.head.issuer.keyType).der,
      this.head.issuer.subjectDer,
      der.time(this.head.thisUpdate),
      der.time(this.head.nextUpdate),
      // An empty list is expressed by absence (C03).
      entryBytes === 0 ? Buffer.alloc(0) : derHeader(TAG.sequence, entryBytes),
    ]);
    const after = der.constructed(0, der.sequence(...headExtensions(this.head)));
    const length = before.length + entryBytes + after.length;
    return Buffer.concat([derHeader(TAG.sequence, length), before, ...entries, after]);
  }

  private nextChunk(): void {
    this.full.push(this.chunk.subarray(0, this.used));
    this.fullBytes += this.used;
    this.chunk = Buffer.allocUnsafe(Math.min(this.chunk.length * 4, LARGEST_CHUNK));
    this.used = 0;
  }
}

/** The TBSCertList of a template, RFC 5280 section 5.1.2; errors as in `CrlTbsWriter`. */
export function encodeCrlTbs(template: CrlTemplate): Buffer {
  const writer = new CrlTbsWriter(template);
  for (const entry of template.entries) writer.add(entry);
  return writer.finish();
}

/**
 * The CertificateList around a signed TBSCertList. Throws `internal` where `algorithmDer` is not the AlgorithmIdentifier inside
 * `tbs`: the two must be identical (C01, RFC 5280 section 5.1.1.2).
 */
export function assembleCrl(tbs: Buffer, algorithmDer: Buffer, signature: Buffer): Buffer {
  const inside = DerReader.openSequence(tbs, 'TBSCertList', { maxBytes: tbs.length, maxDepth: 2, maxNodes: 4 });
  inside.integer();
  if (!inside.element().equals(algorithmDer)) {
    throw new AuthorityError('internal', 'The CRL names another signature algorithm than the one it was signed with');
  }
  return der.sequence(tbs, algorithmDer, der.bitString(signature));
}

function checkHead(head: CrlTemplateHead): void {
  if (head.number < 0n || head.number >= 1n << 159n) {
    throw new AuthorityError('invalid', 'A CRL number is not negative and has at most 20 octets', { member: 'number' });
  }
  if (!(head.nextUpdate.getTime() > head.thisUpdate.getTime())) {
    throw new AuthorityError('invalid', 'nextUpdate must lie after thisUpdate', { member: 'nextUpdate' });
  }
  if (head.deltaBase !== undefined) {
    if (head.deltaBase < 0n || head.deltaBase >= head.number) {
      throw new AuthorityError('invalid', 'A delta CRL needs a base with a lower number', { member: 'deltaBase' });
    }
    if (head.freshestCrlUri !== undefined) {
      throw new AuthorityError('invalid', 'A delta CRL cannot name a freshest CRL', { member: 'freshestCrlUri' });
    }
  }
  for (const uri of [head.distributionPoint, head.freshestCrlUri]) {
    if (uri !== undefined && !/^[\x21-\x7e]+$/.test(uri)) {
      throw new AuthorityError('invalid', 'A CRL URI consists of printable ASCII', { member: 'distributionPoint' });
    }
  }
}

/** RFC 5280 section 5.2, in rising order of their OIDs. */
function headExtensions(head: CrlTemplateHead): Buffer[] {
  const extensions = [extension(OID.cRLNumber, false, der.integer(head.number))];
  if (head.deltaBase !== undefined)
    extensions.push(extension(OID.deltaCRLIndicator, true, der.integer(head.deltaBase)));
  if (head.distributionPoint !== undefined || head.scope !== undefined) {
    extensions.push(extension(OID.issuingDistributionPoint, true, issuingDistributionPoint(head)));
  }
  const authorityKey = encodeAuthorityKeyId(head.issuer.keyId);
  extensions.push(extension(OID.authorityKeyIdentifier, false, authorityKey));
  if (head.freshestCrlUri !== undefined) {
    const points = encodeDistributionPoint(head.freshestCrlUri);
    extensions.push(extension(OID.freshestCRL, false, points));
  }
  return extensions;
}

function issuingDistributionPoint(head: CrlTemplateHead): Buffer {
  const parts: Buffer[] = [];
  if (head.distributionPoint !== undefined) {
    // DistributionPointName [0], fullName [0], byte-equal to the certificates' (C17).
    parts.push(der.constructed(0, der.constructed(0, uriName(head.distributionPoint))));
  }
  if (head.scope !== undefined) parts.push(der.primitive(head.scope === 'user' ? 1 : 2, Buffer.of(0xff)));
  return der.sequence(...parts);
}

function extension(oid: string, critical: boolean, value: Buffer): Buffer {
  return encodeExtension({ oid, critical, value });
}

function writeEntryExtensions(into: Buffer, start: number, entry: CrlEntry): number {
  if (entry.reason === 'unspecified' && entry.invalidityDate === undefined) return start;
  let at = start + 2;
  if (entry.reason !== 'unspecified') {
    at += REASON_EXTENSION.copy(into, at);
    into[at - 1] = CRL_REASON_CODES[entry.reason];
  }
  if (entry.invalidityDate !== undefined) {
    at += INVALIDITY_EXTENSION.copy(into, at);
    at = writeGeneralizedTime(into, at, entry.invalidityDate);
  }
  into[start] = 0x30;
  into[start + 1] = at - start - 2;
  return at;
}

function writeSerial(into: Buffer, at: number, serial: string): number {
  const octets = serial.length / 2;
  if (octets >= 1 && octets <= MAX_SERIAL_OCTETS && into.write(serial, at + 2, 'hex') === octets) {
    const first = into[at + 2] ?? 0;
    const padded = first === 0 && (into[at + 3] ?? 0) >= 0x80 && octets > 1;
    if ((first > 0 && first < 0x80) || padded) {
      into[at] = 0x02;
      into[at + 1] = octets;
      return at + 2 + octets;
    }
  }
  throw new AuthorityError('invalid', 'A serial is the hex of a positive DER INTEGER of at most 20 octets', {
    member: 'serial',
  });
}

/** UTCTime to 2049, GeneralizedTime from 2050 on (C02). */
function writeTime(into: Buffer, at: number, date: Date): number {
  const year = date.getUTCFullYear();
  if (!(year >= 1950 && year <= 2049)) return writeGeneralizedTime(into, at, date);
  into[at] = 0x17;
  into[at + 1] = 13;
  writeTwoDigits(into, at + 2, year % 100);
  writeFromMonth(into, at + 4, date);
  return at + 15;
}

function writeGeneralizedTime(into: Buffer, at: number, date: Date): number {
  const year = date.getUTCFullYear();
  if (!(year >= 0 && year <= 9999)) {
    throw new AuthorityError('invalid', 'A date in a CRL lies in the years 0 to 9999', { member: 'date' });
  }
  into[at] = 0x18;
  into[at + 1] = 15;
  writeTwoDigits(into, at + 2, Math.floor(year / 100));
  writeTwoDigits(into, at + 4, year % 100);
  writeFromMonth(into, at + 6, date);
  return at + 17;
}

function writeFromMonth(into: Buffer, at: number, date: Date): void {
  writeTwoDigits(into, at, date.getUTCMonth() + 1);
  writeTwoDigits(into, at + 2, date.getUTCDate());
  writeTwoDigits(into, at + 4, date.getUTCHours());
  writeTwoDigits(into, at + 6, date.getUTCMinutes());
  writeTwoDigits(into, at + 8, date.getUTCSeconds());
  into[at + 10] = 0x5a;
}

function writeTwoDigits(into: Buffer, at: number, value: number): void {
  into[at] = 0x30 + Math.floor(value / 10);
  into[at + 1] = 0x30 + (value % 10);
}
