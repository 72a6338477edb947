import type { Logger } from 'pino';
import { AuthorityError } from '#kernel';
import { knownIssuer, type KnownIssuer, type ReadonlyStatusIndex } from '#status';
import { listIssuers } from '#store';
import type { Transactor } from './transactor.js';

/** A certification authority that is complete: key made, certificate signed and announced in the status log. */
export type Issuer = KnownIssuer;

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

interface IssuerLog {
  index: Pick<ReadonlyStatusIndex, 'issuer' | 'issuersSeq' | 'certificate'>;
}

/**
 * The issuers that the status log has announced, in memory: read anew when the log says something new about one. A row of
 * `issuers` that was planted or altered is passed over.
 */
export class IssuerDirectory {
  private known: { seq: number; issuers: readonly Issuer[] } | undefined;

  constructor(
    private readonly database: Transactor,
    private readonly log: IssuerLog,
    private readonly alarms: Pick<Logger, 'error'>,
  ) {}

  /** Roots first, then in the order they were made; retired and revoked ones too. */
  async list(): Promise<readonly Issuer[]> {
    const { index } = this.log;
    const seq = index.issuersSeq;
    if (this.known?.seq === seq) return this.known.issuers;
    const rows = await this.database.transaction(listIssuers);
    const issuers = rows.flatMap((row) => {
      const issuer = knownIssuer(row, index.issuer(row.id));
      if (issuer === undefined && row.certificate !== null) {
        this.alarms.error({ issuer: row.id }, 'ALARM: a CA that the status log did not announce as it is; passed over');
      }
      return issuer ?? [];
    });
    // Of an earlier or the same state of the log: read again when it has moved on meanwhile.
    this.known = { seq, issuers };
    return issuers;
  }

  async find(id: string): Promise<Issuer | undefined> {
    return (await this.list()).find((issuer) => issuer.id === id);
  }

  /** Of what was recorded before: the issuer may have been retired since. Throws `unavailable` where it is not known. */
  async require(id: string): Promise<Issuer> {
    const issuer = await this.find(id);
    if (!issuer) throw new AuthorityError('unavailable', 'the CA of this request is not known here', { retryAfter: 5 });
    return issuer;
  }

  async root(): Promise<Issuer> {
    const root = (await this.list()).find((one) => one.kind === 'root');
    if (!root) throw new AuthorityError('unavailable', 'there is no root CA yet', { retryAfter: 5 });
    return root;
  }

  /** The CA that issues now. Throws `unavailable` (code `noActiveIssuer`) when there is none. */
  async issuing(): Promise<Issuer> {
    const active = await this.active();
    if (active) return active;
    throw new AuthorityError('unavailable', 'no issuing CA is active; nothing is issued until one is activated', {
      code: 'noActiveIssuer',
      retryAfter: 60,
    });
  }

  /**
   * What a device needs to build a path from any certificate of ours to the root (RFC 7030 section 4.1.3): the root, the
   * CA that issues now, then those that issued before. There is one root, so there are no certificates of its renewal.
   */
  async chain(): Promise<Issuer[]> {
    const all = await this.list();
    const active = await this.active();
    const retired = all.filter((one) => one.kind === 'issuing' && one !== active && !this.isRevoked(one));
    return [...all.filter((one) => one.kind === 'root'), ...(active ? [active] : []), ...retired.toReversed()];
  }

  private async active(): Promise<Issuer | undefined> {
    const usable = (await this.list()).filter(
      (one) => one.kind === 'issuing' && one.status === 'active' && !this.isRevoked(one),
    );
    return usable.toSorted((one, other) => one.seq - other.seq).at(-1);
  }

  private isRevoked(issuer: Issuer): boolean {
    const status = this.log.index.certificate(issuer.serial)?.status;
    return issuer.status === 'revoked' || status === 'revoked' || status === 'onHold';
  }
}
