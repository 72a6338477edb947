import { AuthorityError } from '#kernel';
import { readCertificate, readPublicKey, type SubjectPublicKey } from '#pki';
import type { ReadonlyStatusIndex } from '#status';
import { listIssuers, type IssuerRow } from '#store';
import type { Transactor } from './transactor.js';

/** A certification authority that is complete: key made, certificate signed. */
export interface Issuer {
  id: string;
  kind: 'root' | 'issuing';
  parentId: string | null;
  name: string;
  caKeyId: string;
  subjectDer: Buffer;
  publicKey: SubjectPublicKey;
  /** DER. */
  certificate: Buffer;
  /** Of its certificate, lower-case hex; empty until there is one. */
  serial: string;
  statusUrl: string;
  shards: number;
  notAfter: Date;
}

export function toIssuer(row: IssuerRow & { certificate: Buffer }): Issuer {
  return { ...row, publicKey: readPublicKey(row.spki), serial: readCertificate(row.certificate).serial };
}

/** Throws `unavailable` for a CA whose own certificate is revoked or on hold: it neither signs nor vouches any more. */
export function requireUsable(a: { follower?: StatusView }, issuer: Pick<Issuer, 'serial' | 'name'>): void {
  const status = a.follower?.index.certificate(issuer.serial)?.status;
  if (status === 'revoked' || status === 'onHold') {
    throw new AuthorityError(
      'unavailable',
      `${issuer.name} is ${status === 'revoked' ? 'revoked' : 'on hold'}; it issues nothing`,
      {
        code: 'issuerRevoked',
        retryAfter: 3600,
      },
    );
  }
}

interface StatusView {
  index: Pick<ReadonlyStatusIndex, 'certificate'>;
}

/** Where the CRL of a shard is (undefined: the full one); what is written into certificates, byte for byte (C17). */
export function crlUri(issuer: Pick<Issuer, 'id' | 'statusUrl'>, shard: number | undefined): string {
  return shard === undefined
    ? `${issuer.statusUrl}/crl/${issuer.id}.crl`
    : `${issuer.statusUrl}/crl/${issuer.id}/${shard}.crl`;
}

export const ocspUri = (issuer: Pick<Issuer, 'statusUrl'>): string => `${issuer.statusUrl}/ocsp`;
export const caIssuersUri = (issuer: Pick<Issuer, 'id' | 'statusUrl'>): string =>
  `${issuer.statusUrl}/ca/${issuer.id}.cer`;

/** The issuers, read once: they change only while the authority is being set up. */
export class IssuerDirectory {
  private known: Issuer[] | undefined;

  constructor(private readonly database: Transactor) {}

  /** Roots first. */
  async list(): Promise<Issuer[]> {
    if (this.known) return this.known;
    const rows = await this.database.transaction(listIssuers);
    const complete = rows.filter((row): row is IssuerRow & { certificate: Buffer } => row.certificate !== null);
    const issuers = complete.map(toIssuer);
    if (rows.length > 0 && complete.length === rows.length) this.known = issuers;
    return issuers;
  }

  async find(id: string): Promise<Issuer | undefined> {
    return (await this.list()).find((issuer) => issuer.id === id);
  }

  async root(): Promise<Issuer> {
    return this.only('root');
  }

  async issuing(): Promise<Issuer> {
    return this.only('issuing');
  }

  private async only(kind: Issuer['kind']): Promise<Issuer> {
    const issuer = (await this.list()).find((one) => one.kind === kind);
    if (!issuer) throw new AuthorityError('unavailable', `there is no ${kind} CA yet`, { retryAfter: 5 });
    return issuer;
  }
}
