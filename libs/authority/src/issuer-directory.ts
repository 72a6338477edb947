import type { Logger } from 'pino';
import { AuthorityError } from '#kernel';
import { knownIssuer, knownLink, mainRoot, type KnownLink, type ReadonlyStatusIndex } from '#status';
import { listIssuerLinks, listIssuers } from '#store';
import { chooseIssuer, findRevoked, inHierarchy, type Issuer, type Wanted } from './hierarchy.js';
import type { Transactor } from './transactor.js';

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

interface Known {
  seq: number;
  issuers: readonly Issuer[];
  links: readonly KnownLink[];
}

/**
 * The issuers and links that the status log has announced, in memory: read anew when the log says something new about one.
 * A row that was planted or altered is passed over.
 */
export class IssuerDirectory {
  private known: Known | undefined;
  private readonly shortLived = new Set<string>();

  constructor(
    private readonly database: Transactor,
    private readonly log: IssuerLog,
    private readonly alarms: Pick<Logger, 'error'>,
  ) {}

  /** Roots first, then in the order they were made; retired and revoked ones too. */
  async list(): Promise<readonly Issuer[]> {
    return (await this.read()).issuers;
  }

  /** Further certificates of CA keys, in the order they were made. */
  async links(): Promise<readonly KnownLink[]> {
    return (await this.read()).links;
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

  /** The root that new CAs come under where nothing else is said. */
  async root(): Promise<Issuer> {
    const root = mainRoot(await this.list());
    if (!root) throw new AuthorityError('unavailable', 'there is no root CA yet', { retryAfter: 5 });
    return root;
  }

  /**
   * The CA that issues this: the most specific one that is active, of those the newest. Throws `unavailable` (code
   * `noActiveIssuer`) when there is none.
   */
  async issuingFor(wanted: Wanted, now: Date): Promise<Issuer> {
    const chosen = chooseIssuer(await this.usable(), wanted, now);
    if (chosen) {
      this.noteShortLife(chosen, wanted, now);
      return chosen;
    }
    throw new AuthorityError(
      'unavailable',
      'no issuing CA for this is active; nothing is issued until one is activated',
      {
        code: 'noActiveIssuer',
        retryAfter: 60,
      },
    );
  }

  /** Said once for each CA and profile: nothing outlives its issuer, and nobody else was there to issue it in full. */
  private noteShortLife(chosen: Issuer, { profile, validitySeconds }: Wanted, now: Date): void {
    const key = `${chosen.id} ${profile}`;
    if (chosen.notAfter.getTime() - now.getTime() >= validitySeconds * 1000 || this.shortLived.has(key)) return;
    this.shortLived.add(key);
    const { id: issuer, notAfter } = chosen;
    this.alarms.error(
      { issuer, profile, notAfter },
      'ALARM: certificates end early, with their CA: make a younger one',
    );
  }

  /** The CA that issues now to whoever has none of its own. Throws as `issuingFor` does. */
  async issuing(now = new Date(0)): Promise<Issuer> {
    return this.issuingFor({ issuerOrgId: undefined, profile: '', validitySeconds: 0 }, now);
  }

  /**
   * What a device needs to build a path from any certificate of ours to a root (RFC 7030 section 4.1.3): the roots, the main
   * one first, the CAs in between, those that issue now, the newest first, then those that issued before.
   */
  async chain(): Promise<Issuer[]> {
    const all = (await this.list()).filter((one) => findRevoked(this.log, one) === undefined);
    const main = mainRoot(all);
    const newest = (kind: Issuer['kind'], active?: boolean): Issuer[] =>
      all
        .filter((one) => one.kind === kind && (active === undefined || (one.status === 'active') === active))
        .toSorted((one, other) => other.seq - one.seq);
    const roots = newest('root').filter((one) => one !== main);
    return [
      ...(main ? [main] : []),
      ...roots,
      ...newest('intermediate'),
      ...newest('issuing', true),
      ...newest('issuing', false),
    ];
  }

  /** From the CA, which comes first, up to its root. Throws `unavailable` for an unknown one. */
  async chainFor(id: string): Promise<Issuer[]> {
    const issuer = await this.require(id);
    const all = await this.list();
    return [issuer, ...issuer.above.flatMap((one) => all.find(({ id: known }) => known === one.id) ?? [])];
  }

  /**
   * The certificates of the EST `cacerts` answer: `chain`, and of our roots whatever certifies the one key by the other, so
   * that who trusts the old root follows to the new one, and the other way round (E32). No certificate twice (E36).
   */
  async cacerts(now: Date): Promise<Buffer[]> {
    const chain = (await this.chain()).filter((one) => one.notAfter > now);
    return [...chain.map((one) => one.certificate), ...(await this.linksTo(chain, now))];
  }

  /** What a TLS server sends behind its own certificate: the CAs up to the root without it, then what links other roots to it. */
  async pathOf(issuer: Issuer, now: Date): Promise<Buffer[]> {
    const chain = await this.chainFor(issuer.id);
    const sent = chain.filter(({ kind }) => kind !== 'root').map((one) => one.certificate);
    return [
      ...sent,
      ...(await this.linksTo(
        chain.filter(({ kind }) => kind === 'root'),
        now,
      )),
    ];
  }

  /** Certificates of these CAs' keys by other keys, as far as they count now. */
  private async linksTo(issuers: readonly Issuer[], now: Date): Promise<Buffer[]> {
    const ids = new Set(issuers.map(({ id }) => id));
    const links = (await this.links()).filter((one) => one.subjectIssuerId !== null && ids.has(one.subjectIssuerId));
    return links
      .filter(({ serial, notAfter }) => notAfter > now && this.log.index.certificate(serial)?.status !== 'revoked')
      .map((one) => one.certificate);
  }

  private async usable(): Promise<Issuer[]> {
    return (await this.list()).filter(
      (one) => one.kind === 'issuing' && one.status === 'active' && findRevoked(this.log, one) === undefined,
    );
  }

  private async read(): Promise<Known> {
    const { index } = this.log;
    const seq = index.issuersSeq;
    if (this.known?.seq === seq) return this.known;
    const rows = await this.database.transaction(async (tx) => ({
      issuers: await listIssuers(tx),
      links: await listIssuerLinks(tx),
    }));
    const issuers = rows.issuers.flatMap((row) => this.believed(row, knownIssuer(row, index.issuer(row.id))));
    const links = rows.links.flatMap((row) => this.believed(row, knownLink(row, index.issuer(row.id))));
    // Of an earlier or the same state of the log: read again when it has moved on meanwhile.
    this.known = { seq, issuers: inHierarchy(issuers), links };
    return this.known;
  }

  private believed<T>(row: { id: string; certificate: Buffer | null }, known: T | undefined): T[] {
    if (known !== undefined) return [known];
    if (row.certificate !== null) {
      this.alarms.error({ issuer: row.id }, 'ALARM: a CA that the status log did not announce as it is; passed over');
    }
    return [];
  }
}
