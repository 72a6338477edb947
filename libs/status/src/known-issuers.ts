import { createHash, timingSafeEqual, type KeyObject } from 'node:crypto';
import { chainMacRow } from '#credential';
import { AuthorityError } from '#kernel';
import { readCertificate, type SubjectPublicKey } from '#pki';
import { encodeStatusRow, latestOfKind, type IssuerRow, type StatusRow, type Tx } from '#store';
import type { StatusEntry } from './index-entries.js';

/** `active`: issues. `retired`: publishes status and is believed, issues nothing. `revoked`: its certificate is. */
export const ISSUER_STATUSES = ['active', 'retired', 'revoked'] as const;
export type IssuerStatus = (typeof ISSUER_STATUSES)[number];

/** A certification authority as its own certificate says, which is the one that the status log announced. */
export interface KnownIssuer {
  id: string;
  kind: 'root' | 'issuing';
  status: IssuerStatus;
  parentId: string | null;
  name: string;
  caKeyId: string;
  subjectDer: Buffer;
  publicKey: SubjectPublicKey;
  /** DER. */
  certificate: Buffer;
  /** Of its certificate, lower-case hex. */
  serial: string;
  statusUrl: string;
  shards: number;
  notAfter: Date;
  /** Row of the log that says what it is now. */
  seq: number;
}

type Announced = Pick<StatusEntry, 'status' | 'reason' | 'seq'>;

/**
 * The issuer of a row, if the log announced exactly this certificate: every row of the log about an issuer carries the
 * SHA-256 of its certificate, lower-case hex, as reason. undefined for a row that nobody announced, or not as it is. Key,
 * name and end are taken from the certificate, never from the row.
 */
export function knownIssuer(row: IssuerRow, announced: Announced | undefined): KnownIssuer | undefined {
  if (row.certificate === null || announced === undefined) return undefined;
  const status = ISSUER_STATUSES.find((one) => one === announced.status);
  const sha256 = createHash('sha256').update(row.certificate).digest('hex');
  if (sha256 !== announced.reason || status === undefined) return undefined;
  const certificate = readCertificate(row.certificate);
  return {
    id: row.id,
    kind: certificate.issuerDer.equals(certificate.subjectDer) ? 'root' : 'issuing',
    status,
    parentId: row.parentId,
    name: row.name,
    caKeyId: row.caKeyId,
    subjectDer: certificate.subjectDer,
    publicKey: certificate.publicKey,
    certificate: row.certificate,
    serial: certificate.serial,
    statusUrl: row.statusUrl,
    shards: row.shards,
    notAfter: certificate.notAfter,
    seq: announced.seq,
  };
}

/** Whether it still says what its certificates are worth: a CA that is revoked or has ended needs no OCSP signer. */
export function vouches(issuer: Pick<KnownIssuer, 'status' | 'notAfter'>, at: Date): boolean {
  return issuer.status !== 'revoked' && at < issuer.notAfter;
}

/**
 * What the log announced of every issuer, by id, each row checked by its MAC: for whoever has no follower. Throws
 * `internal` for a row that this authority did not write.
 */
export async function announcedIssuers(tx: Tx, macKey: KeyObject): Promise<Map<string, StatusRow>> {
  const rows = await latestOfKind(tx, 'issuer');
  for (const row of rows) {
    const mac = chainMacRow(macKey, row.previousMac, encodeStatusRow(row.seq, row));
    if (row.mac.length !== mac.length || !timingSafeEqual(row.mac, mac)) {
      throw new AuthorityError('internal', `row ${row.seq} of the status log was not written by this authority`, {
        code: 'statusMac',
      });
    }
  }
  return new Map(rows.map((row) => [row.subject, row]));
}
