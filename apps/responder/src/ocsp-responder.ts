import { addSeconds, isAuthorityError, wholeSecond } from '#kernel';
import {
  makeCertId,
  OcspRequestError,
  readOcspRequest,
  readOcspResponse,
  type CertId,
  type CertStatus,
  type OcspRequest,
} from '#pki';
import { certStatus, MAX_LOG_AGE_MS, signOcspAnswer, type OcspAnswer } from '#publication';
import { findOcspAnswer, type KnownSerial, type StoredOcspAnswer } from '#store';
import { BoundedCache } from './bounded-cache.js';
import type { ResponderDeps } from './deps.js';
import { OCSP_ERRORS, OCSP_RESPONSE_TYPE } from './ocsp-errors.js';
import { boundedMaxAge, cacheable, momentary, type Reply } from './reply.js';
import { SerialLookup } from './serial-lookup.js';
import type { ServedIssuer, ServedState } from './served-state.js';

/** An answer kept by the bytes of its request. Times are milliseconds since the epoch. */
interface Kept {
  reply: Reply;
  serial: string;
  /** Up to which row of the log it speaks. */
  seq: number;
  answer: OcspAnswer;
  revoked: boolean;
  renewAt: number;
  /** From here on its max-age would reach past nextUpdate. */
  shrinksAt: number;
}

const KEPT_ANSWERS = 10_000;
/** One CertID takes about 120 bytes. With longer requests as keys, strangers could fill the memory. */
const MAX_KEPT_REQUEST_BYTES = 512;

/** RFC 6960, RFC 9919: what to answer to a request. Holds no route and no socket. */
export class OcspResponder {
  private readonly kept = new BoundedCache<Kept>(KEPT_ANSWERS);
  private readonly serials: SerialLookup;

  constructor(
    private readonly deps: ResponderDeps,
    private readonly state: ServedState,
  ) {
    this.serials = new SerialLookup(deps.database, deps.clock);
  }

  /** The answer to a DER request. A promise only where the database must be asked; never rejects. */
  answer(der: Buffer): Reply | Promise<Reply> {
    const key = der.length <= MAX_KEPT_REQUEST_BYTES ? der.toString('latin1') : undefined;
    const now = this.deps.clock.now();
    const kept = key === undefined ? undefined : this.kept.get(key);
    if (key !== undefined && kept !== undefined && this.coversChanges(kept)) {
      if (now.getTime() < Math.min(kept.renewAt, kept.shrinksAt)) return kept.reply;
      if (this.isStale() && now < kept.answer.nextUpdate) return this.renewHeaders(key, kept, now);
    }
    let request: OcspRequest;
    try {
      request = readOcspRequest(der);
    } catch (error) {
      return this.refuse(error);
    }
    const fresh = this.evaluate(request, key);
    if (key === undefined || kept === undefined || !this.coversChanges(kept)) return fresh;
    // What was signed before goes on until its nextUpdate where nothing newer can be had.
    const orKept = (reply: Reply): Reply =>
      reply === OCSP_ERRORS.tryLater && now < kept.answer.nextUpdate ? this.renewHeaders(key, kept, now) : reply;
    return fresh instanceof Promise ? fresh.then(orKept) : orKept(fresh);
  }

  private refuse(error: unknown): Reply {
    if (error instanceof OcspRequestError) return OCSP_ERRORS[error.status];
    this.deps.log.error({ err: error }, 'an OCSP request could not be answered');
    return OCSP_ERRORS.internalError;
  }

  /** The status of the certificate has not changed since: one look-up in memory, at each use. */
  private coversChanges(kept: Kept): boolean {
    return (this.deps.follower.index.certificate(kept.serial)?.seq ?? 0) <= kept.seq;
  }

  /** The log was not followed for too long, or is not believed: what it says may be out of date. */
  private isStale(): boolean {
    return this.deps.follower.broken !== undefined || this.deps.follower.ageMs > MAX_LOG_AGE_MS;
  }

  private evaluate(request: OcspRequest, key: string | undefined): Reply | Promise<Reply> {
    const issuer = this.commonIssuer(request.certIds);
    if (issuer === undefined) return OCSP_ERRORS.unauthorized;
    const held = request.certIds.map((certId) => this.serials.held(certId.serial));
    if (held.every((known) => known !== undefined)) return this.respond(request, key, issuer, held);
    return this.lookUp(request, held).then(
      (known) => this.respond(request, key, issuer, known),
      (error: unknown) => (isAuthorityError(error, 'unavailable') ? OCSP_ERRORS.tryLater : this.refuse(error)),
    );
  }

  /** One signature can be authorized by one CA key only (O40). */
  private commonIssuer(certIds: readonly CertId[]): ServedIssuer | undefined {
    const first = certIds[0];
    const issuer = first && this.state.issuerOf(first);
    if (certIds.length === 1) return issuer;
    return certIds.every((certId) => this.state.issuerOf(certId) === issuer) ? issuer : undefined;
  }

  private async lookUp(
    request: OcspRequest,
    held: readonly (KnownSerial | undefined)[],
  ): Promise<(KnownSerial | undefined)[]> {
    const known: (KnownSerial | undefined)[] = [];
    for (const [at, certId] of request.certIds.entries())
      known.push(held[at] ?? (await this.serials.find(certId.serial)));
    return known;
  }

  private respond(
    request: OcspRequest,
    key: string | undefined,
    issuer: ServedIssuer,
    known: readonly (KnownSerial | undefined)[],
  ): Reply | Promise<Reply> {
    const { index } = this.deps.follower;
    // RFC 9608 section 4 and X28: such a certificate says itself that nobody is to be asked about it.
    if (known.some((row) => row?.published === false)) return OCSP_ERRORS.unauthorized;
    const statuses = request.certIds.map(({ serial }, at) => {
      const row = known[at];
      return row?.issuerId === issuer.id
        ? certStatus(index.certificate(serial), row)
        : ({ status: 'unknown' } as const);
    });
    const [certId] = request.certIds;
    const [status] = statuses;
    const single = request.certIds.length === 1 && request.nonce === undefined && status?.status !== 'unknown';
    if (certId !== undefined && single && (this.isStale() || index.certificate(certId.serial) !== undefined)) {
      return this.findPublished(certId, issuer, status).then(
        (stored) =>
          stored
            ? this.keep(key, certId.serial, stored, stored.seq, status)
            : this.signLive(request, key, issuer, statuses),
        () => this.signLive(request, key, issuer, statuses),
      );
    }
    return this.signLive(request, key, issuer, statuses);
  }

  /** A published answer that is young (or all there is), knows the last change and says what the log says. */
  private async findPublished(
    certId: CertId,
    issuer: ServedIssuer,
    status: CertStatus | undefined,
  ): Promise<StoredOcspAnswer | undefined> {
    const { hash, serial } = certId;
    if (hash !== 'sha1' && hash !== 'sha256') return undefined;
    // An answer repeats the CertID of the request byte for byte (O21); a client may encode it in another way than we do.
    if (!makeCertId(hash, issuer.subjectDer, issuer.publicKey, serial).der.equals(certId.der)) return undefined;
    const stored = await this.serials.ask((database) =>
      database.transaction((tx) => findOcspAnswer(tx, Buffer.from(serial, 'hex'), hash)),
    );
    if (stored === undefined) return undefined;
    const now = this.deps.clock.now();
    const renewAt = addSeconds(stored.thisUpdate, this.deps.config.lifetimes.ocspRenew);
    const until = this.isStale() || stored.nextUpdate < renewAt ? stored.nextUpdate : renewAt;
    const knows = stored.seq >= (this.deps.follower.index.certificate(serial)?.seq ?? 0);
    return knows && now < until && saysSo(stored, certId, status) ? stored : undefined;
  }

  private signLive(
    request: OcspRequest,
    key: string | undefined,
    issuer: ServedIssuer,
    statuses: readonly (CertStatus | undefined)[],
  ): Reply {
    const { follower, clock, config } = this.deps;
    const { lastSync, index } = follower;
    const delegate = this.state.delegates.current(issuer.id, clock.now());
    if (lastSync === undefined || delegate === undefined) return OCSP_ERRORS.tryLater;
    const stale = this.isStale();
    const responses: { certId: CertId; status: CertStatus }[] = [];
    for (const [at, certId] of request.certIds.entries()) {
      const status = statuses[at];
      // A final revocation stays true however old the log is; nothing else does.
      if (status === undefined || (stale && index.certificate(certId.serial)?.status !== 'revoked'))
        return OCSP_ERRORS.tryLater;
      responses.push({ certId, status });
    }
    const { nonce } = request;
    const thisUpdate = wholeSecond(lastSync);
    const answer = signOcspAnswer(delegate, {
      responses,
      thisUpdate,
      lifetime: config.lifetimes.ocspNextUpdate,
      nonce,
    });
    const [only] = responses;
    const keep =
      responses.length === 1 && nonce === undefined && only !== undefined && only.status.status !== 'unknown';
    if (keep) return this.keep(key, only.certId.serial, answer, index.seq, only.status);
    return momentary(OCSP_RESPONSE_TYPE, answer.der, index.seq);
  }

  /** `key` undefined: the answer is given and not kept. */
  private keep(
    key: string | undefined,
    serial: string,
    answer: OcspAnswer,
    seq: number,
    status: CertStatus | undefined,
  ): Reply {
    const renewAt = addSeconds(answer.thisUpdate, this.deps.config.lifetimes.ocspRenew).getTime();
    const kept: Kept = {
      ...this.replyOf(answer, seq, status?.status === 'revoked'),
      serial,
      seq,
      answer,
      revoked: status?.status === 'revoked',
      renewAt: Math.min(renewAt, answer.nextUpdate.getTime()),
    };
    if (key !== undefined) this.kept.set(key, kept);
    return kept.reply;
  }

  private renewHeaders(key: string, kept: Kept, now: Date): Reply {
    if (now.getTime() < kept.shrinksAt) return kept.reply;
    const renewed = { ...kept, ...this.replyOf(kept.answer, kept.seq, kept.revoked) };
    this.kept.set(key, renewed);
    return renewed.reply;
  }

  private replyOf(answer: OcspAnswer, seq: number, revoked: boolean): Pick<Kept, 'reply' | 'shrinksAt'> {
    const { ocspMaxAge, ocspMaxAgeRevoked } = this.deps.config.lifetimes;
    const maxAge = boundedMaxAge(revoked ? ocspMaxAgeRevoked : ocspMaxAge, this.deps.clock.now(), answer.nextUpdate);
    const reply = cacheable(OCSP_RESPONSE_TYPE, answer.der, {
      maxAge,
      lastModified: answer.thisUpdate,
      expires: answer.nextUpdate,
      seq,
    });
    return { reply, shrinksAt: answer.nextUpdate.getTime() - (maxAge + 1) * 1000 };
  }
}

/**
 * A stored answer is signed, but its row is not authenticated: an old `good` put back into the table would be served for a
 * certificate revoked since. Its own content decides.
 */
function saysSo(stored: StoredOcspAnswer, certId: CertId, status: CertStatus | undefined): boolean {
  const response = readOcspResponse(stored.der);
  const [single] = response.responses;
  if (response.responses.length !== 1 || single === undefined || !single.certId.der.equals(certId.der)) return false;
  if (single.thisUpdate.getTime() !== stored.thisUpdate.getTime()) return false;
  if (single.nextUpdate.getTime() !== stored.nextUpdate.getTime()) return false;
  return status !== undefined && single.status.status === status.status;
}
