import { createHash, timingSafeEqual, type KeyObject } from 'node:crypto';
import { chainMacRow } from '#credential';
import { AuthorityError } from '#kernel';
import { OID, readCertificate, type Certificate, type SubjectPublicKey } from '#pki';
import {
  encodeStatusRow,
  latestOfKind,
  type IssuerKind,
  type IssuerLinkRow,
  type IssuerRow,
  type StatusRow,
  type Tx,
} from '#store';
import type { StatusEntry } from './index-entries.js';

/** `active`: issues. `retired`: publishes status and is believed, issues nothing. `revoked`: its certificate is. */
export const ISSUER_STATUSES = ['active', 'retired', 'revoked'] as const;
export type IssuerStatus = (typeof ISSUER_STATUSES)[number];

/** What the log says, under the same kind, of what is no issuer: a key that waits for its certificate, a link. */
export const REQUESTED = 'requested';
export const LINKED = 'linked';

/** What the certificate of a CA does not say. */
export interface IssuerTerms {
  /** Issues for devices of this testing organization only. */
  organizationId?: string;
  /** Issues by these end-entity profiles only. */
  profiles?: readonly string[];
  /** Its key is not here: it never signs, its CRL is brought in. */
  external?: boolean;
  /** The CA of the same name that it follows. */
  predecessorId?: string;
}

/** A certification authority as its own certificate says, which is the one that the status log announced. */
export interface KnownIssuer {
  id: string;
  kind: IssuerKind;
  status: IssuerStatus;
  parentId: string | null;
  name: string;
  /** null: its key is not in our signer. */
  caKeyId: string | null;
  issuerDer: Buffer;
  subjectDer: Buffer;
  publicKey: SubjectPublicKey;
  authorityKeyId: Buffer | undefined;
  pathLen: number | undefined;
  /** Value of the extension in its own certificate. */
  nameConstraints: Buffer | undefined;
  /** DER. */
  certificate: Buffer;
  /** Of its certificate, lower-case hex. */
  serial: string;
  statusUrl: string;
  shards: number;
  notBefore: Date;
  notAfter: Date;
  terms: IssuerTerms;
  /** As announced; null for none. */
  termsBytes: Buffer | null;
  /** Row of the log that says what it is now. */
  seq: number;
}

type Announced = Pick<StatusEntry, 'status' | 'reason' | 'seq'>;

/** What every row of the log about an issuer carries as reason: SHA-256 of its certificate, and of its terms if it has any. */
export function announcedDigest(certificate: Buffer, terms: Buffer | null): string {
  return terms === null ? sha256(certificate) : `${sha256(certificate)}.${sha256(terms)}`;
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/**
 * The issuer of a row, if the log announced exactly this certificate with these terms. undefined for a row that nobody
 * announced, or not as it is. Key, name, kind and end are taken from the certificate, never from the row.
 */
export function knownIssuer(row: IssuerRow, announced: Announced | undefined): KnownIssuer | undefined {
  if (row.certificate === null || announced === undefined) return undefined;
  const status = ISSUER_STATUSES.find((one) => one === announced.status);
  if (announcedDigest(row.certificate, row.terms) !== announced.reason || status === undefined) return undefined;
  const certificate = readCertificate(row.certificate);
  const terms = row.terms === null ? {} : (JSON.parse(row.terms.toString('utf8')) as IssuerTerms);
  return {
    id: row.id,
    kind: kindOf(certificate),
    status,
    parentId: row.parentId,
    name: row.name,
    caKeyId: terms.external === true ? null : row.caKeyId,
    issuerDer: certificate.issuerDer,
    subjectDer: certificate.subjectDer,
    publicKey: certificate.publicKey,
    authorityKeyId: certificate.authorityKeyId,
    pathLen: certificate.basicConstraints?.pathLen,
    nameConstraints: certificate.extensions.get(OID.nameConstraints)?.value,
    certificate: row.certificate,
    serial: certificate.serial,
    statusUrl: row.statusUrl,
    shards: row.shards,
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    terms,
    termsBytes: row.terms,
    seq: announced.seq,
  };
}

/** A root names itself as its issuer; what may certify no further CA issues to end entities. */
export function kindOf(certificate: Pick<Certificate, 'issuerDer' | 'subjectDer' | 'basicConstraints'>): IssuerKind {
  if (certificate.issuerDer.equals(certificate.subjectDer)) return 'root';
  return certificate.basicConstraints?.pathLen === 0 ? 'issuing' : 'intermediate';
}

/** The root that new CAs come under and that clients are told first: the first one, or what followed it. */
export function mainRoot<T extends KnownIssuer>(issuers: readonly T[]): T | undefined {
  const roots = issuers.filter((one) => one.kind === 'root');
  const [first] = roots;
  const line = roots.filter((one) => one.subjectDer.equals(first!.subjectDer) && one.status === 'active');
  return line.toSorted((one, other) => one.seq - other.seq).at(-1) ?? first;
}

/** A further certificate of a CA key that the log announced. */
export type KnownLink = Omit<IssuerLinkRow, 'certificate'> & { certificate: Buffer; notAfter: Date; serial: string };

/** The link of a row, if the log announced exactly this certificate for it. */
export function knownLink(row: IssuerLinkRow, announced: Announced | undefined): KnownLink | undefined {
  if (row.certificate === null || announced?.status !== LINKED) return undefined;
  if (announced.reason !== announcedDigest(row.certificate, null)) return undefined;
  const { notAfter, serial } = readCertificate(row.certificate);
  return { ...row, certificate: row.certificate, notAfter, serial };
}

/** Whether it still says what its certificates are worth: a CA that is revoked, has ended or is kept elsewhere needs no OCSP signer. */
export function vouches(issuer: Pick<KnownIssuer, 'status' | 'notAfter' | 'caKeyId'>, at: Date): boolean {
  return issuer.caKeyId !== null && issuer.status !== 'revoked' && at < issuer.notAfter;
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
  const issuers = rows.filter(({ status }) => ISSUER_STATUSES.some((one) => one === status));
  return new Map(issuers.map((row) => [row.subject, row]));
}
