import { isAuthorityError } from '#kernel';
import { issuerHashes, readCertificate, toPem, type CertId } from '#pki';
import { CRL_MEDIA_TYPE, crlName, crlScopes, OcspDelegates } from '#publication';
import { knownIssuer, knownLink, mainRoot, vouches, type KnownIssuer, type KnownLink } from '#status';
import { findArtifact, listArtifacts, listIssuerLinks, listIssuers, type Artifact } from '#store';
import { findCrlProblem, issuerOfCrl } from './check-crl.js';
import type { ResponderDeps } from './deps.js';
import { boundedMaxAge, cacheable, type Reply } from './reply.js';

export type ServedIssuer = KnownIssuer;

interface ServedArtifact {
  artifact: Artifact;
  reply: Reply;
  /** Milliseconds since the epoch: from here on the reply's max-age would reach past nextUpdate. */
  shrinksAt: number;
}

const CERTIFICATE_MAX_AGE = 3600;
/** A refused row is not read again before: a check of a large CRL costs seconds, and each refusal is an alarm. */
const REFUSED_MS = 60_000;

/**
 * What the status plane serves, in memory: issuers, CRLs, delegates. Taken over from the database as it changes, and
 * served on when the database is gone.
 */
export class ServedState {
  readonly delegates: OcspDelegates;
  private issuerList: ServedIssuer[] = [];
  private linkList: readonly KnownLink[] = [];
  private readonly byHash = new Map<string, ServedIssuer>();
  private readonly certificates = new Map<string, Reply>();
  private readonly artifacts = new Map<string, ServedArtifact>();
  /** By name: the row that was refused, and until when it stays so (monotonic milliseconds). */
  private readonly refused = new Map<string, { row: string; until: number }>();
  /** Row of the log up to which the issuers are known. */
  private issuersSeq = -1;
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private stopped = false;

  constructor(private readonly deps: ResponderDeps) {
    this.delegates = new OcspDelegates(deps.ocspKek, (issuerId, error) =>
      deps.log.error({ issuerId, err: error }, 'ALARM: a published OCSP delegate is not usable'),
    );
  }

  get issuers(): readonly ServedIssuer[] {
    return this.issuerList;
  }

  /** Further certificates of CA keys. */
  get links(): readonly KnownLink[] {
    return this.linkList;
  }

  /** The issuer that a CertID names by both its hashes (O23), of those under SHA-1 and SHA-256. */
  issuerOf(certId: CertId): ServedIssuer | undefined {
    return this.byHash.get(hashKey(certId.hash, certId.issuerNameHash, certId.issuerKeyHash));
  }

  /** `root.pem`, `<issuer id>.cer` or `<link id>.cer`. */
  certificate(file: string): Reply | undefined {
    return this.certificates.get(file);
  }

  /** undefined: there is none. `expired`: nextUpdate has passed, and nothing newer was published. */
  crl(name: string): Reply | 'expired' | undefined {
    const served = this.artifacts.get(name);
    if (served === undefined) return undefined;
    const now = this.deps.clock.now();
    const { nextUpdate } = served.artifact;
    if (nextUpdate !== null && now >= nextUpdate) return 'expired';
    if (now.getTime() >= served.shrinksAt) this.artifacts.set(name, this.prepare(served.artifact));
    return this.artifacts.get(name)?.reply;
  }

  /** Why this plane cannot do its work just now. */
  problems(): string[] {
    if (this.issuerList.length === 0) return ['no certification authority is set up'];
    const now = this.deps.clock.now();
    // Nobody here can renew what is signed elsewhere: that a CRL was not brought in takes nobody out of service.
    return this.issuerList
      .filter(({ caKeyId }) => caKeyId !== null)
      .flatMap((issuer) => [
        ...(!vouches(issuer, now) || this.delegates.current(issuer.id, now)
          ? []
          : [`no delegated OCSP signer for issuer ${issuer.id}`]),
        ...crlScopes(issuer).flatMap((scope) => {
          const crl = this.crl(crlName(issuer.id, scope));
          if (crl === undefined) return [`${crlName(issuer.id, scope)} is not published yet`];
          return crl === 'expired' ? [`${crlName(issuer.id, scope)} is past its nextUpdate`] : [];
        }),
      ]);
  }

  /** Reads everything once, then goes on following. A database that is down at first only delays it. */
  async start(): Promise<void> {
    await this.refresh();
    this.schedule();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  private schedule(): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => {
      this.running = this.refresh();
      void this.running.then(() => this.schedule());
    }, this.deps.config.lifetimes.followerPollMs);
    this.timer.unref();
  }

  private async refresh(): Promise<void> {
    try {
      if (this.deps.follower.index.issuersSeq !== this.issuersSeq) await this.readIssuers();
      await this.readArtifacts();
      await this.delegates.refresh(this.deps.database, this.issuerList);
    } catch (error) {
      const level = isAuthorityError(error, 'unavailable') ? 'warn' : 'error';
      this.deps.log[level]({ err: error }, 'what is published cannot be read just now; what is held is served on');
    }
  }

  private async readIssuers(): Promise<void> {
    const { index } = this.deps.follower;
    const seq = index.issuersSeq;
    const { rows, links } = await this.deps.database.transaction(async (tx) => ({
      rows: await listIssuers(tx),
      links: await listIssuerLinks(tx),
    }));
    this.issuerList = rows.flatMap((row) => {
      const issuer = knownIssuer(row, index.issuer(row.id));
      if (issuer === undefined && row.certificate !== null) {
        this.deps.log.error(
          { issuer: row.id },
          'ALARM: a CA that the status log did not announce as it is; passed over',
        );
      }
      return issuer ?? [];
    });
    this.issuersSeq = seq;
    for (const issuer of this.issuerList) {
      for (const hash of ['sha1', 'sha256'] as const) {
        const { nameHash, keyHash } = issuerHashes(issuer.subjectDer, issuer.publicKey, hash);
        this.byHash.set(hashKey(hash, nameHash, keyHash), issuer);
      }
      this.certificates.set(`${issuer.id}.cer`, certificateReply('application/pkix-cert', issuer.certificate, issuer));
    }
    this.linkList = links.flatMap((row) => knownLink(row, index.issuer(row.id)) ?? []);
    for (const link of this.linkList) {
      this.certificates.set(`${link.id}.cer`, certificateReply('application/pkix-cert', link.certificate, link));
    }
    const root = mainRoot(this.issuerList);
    if (root) {
      const pem = Buffer.from(toPem('CERTIFICATE', root.certificate));
      this.certificates.set('root.pem', certificateReply('application/x-pem-file', pem, root));
    }
  }

  private async readArtifacts(): Promise<void> {
    const listed = await this.deps.database.transaction(listArtifacts);
    for (const { name, sha256, number, seq, thisUpdate } of listed) {
      const issuer = issuerOfCrl(name, this.issuerList);
      if (issuer === undefined || this.artifacts.get(name)?.artifact.sha256.equals(sha256)) continue;
      const row = `${number} ${seq} ${thisUpdate.getTime()} ${sha256.toString('hex')}`;
      const refused = this.refused.get(name);
      if (refused?.row === row && this.deps.clock.monotonicMs() < refused.until) continue;
      if (await this.takeOver(name, issuer)) this.refused.delete(name);
      else this.refused.set(name, { row, until: this.deps.clock.monotonicMs() + REFUSED_MS });
    }
  }

  /** Nobody may take a newer CRL back, or a wrong one in, by what he writes into the table. */
  private async takeOver(name: string, issuer: ServedIssuer): Promise<boolean> {
    const artifact = await this.deps.database.transaction((tx) => findArtifact(tx, name));
    if (artifact === undefined) return true;
    const held = this.artifacts.get(name)?.artifact;
    let problem: string | undefined;
    try {
      problem = await findCrlProblem(artifact, issuer, held);
    } catch (error) {
      problem = `it cannot be read: ${error instanceof Error ? error.message : String(error)}`;
    }
    if (problem !== undefined) {
      const { number, seq } = artifact;
      this.deps.log.error(
        { name, number, seq, held: held?.number, problem },
        'ALARM: a published CRL is not right; what was held is served on',
      );
      return false;
    }
    this.artifacts.set(name, this.prepare(artifact));
    return true;
  }

  private prepare(artifact: Artifact): ServedArtifact {
    const now = this.deps.clock.now();
    const { ocspMaxAge } = this.deps.config.lifetimes;
    const expires = artifact.nextUpdate ?? undefined;
    const maxAge = expires === undefined ? ocspMaxAge : boundedMaxAge(ocspMaxAge, now, expires);
    const reply = cacheable(CRL_MEDIA_TYPE, artifact.bytes, {
      maxAge,
      lastModified: artifact.thisUpdate,
      expires,
      seq: artifact.seq,
    });
    const shrinksAt = expires === undefined ? Infinity : expires.getTime() - (maxAge + 1) * 1000;
    return { artifact, reply, shrinksAt };
  }
}

function hashKey(hash: string, name: Buffer, key: Buffer): string {
  return `${hash}${name.toString('latin1')}${key.toString('latin1')}`;
}

function certificateReply(mediaType: string, body: Buffer, issuer: { certificate: Buffer }): Reply {
  const lastModified = readCertificate(issuer.certificate).notBefore;
  return cacheable(mediaType, body, { maxAge: CERTIFICATE_MAX_AGE, lastModified, expires: undefined, seq: undefined });
}
