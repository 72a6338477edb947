import type { Certificate } from './certificate.js';
import type { CertificateList, RevokedCertificate } from './crl-read.js';
import { verifyCrl } from './crl-read.js';
import type { CrlSource } from './distribution-point.js';
import { ALL_REASONS, readCrlSources, shareName } from './distribution-point.js';
import type { GeneralName } from './general-name.js';
import { canonicalName, namesEqual } from './name.js';
import { OID } from './oids.js';
import { openKey } from './path-build.js';
import type { PathIssuer, RevocationAnswer, RevocationCheck, TrustAnchor } from './path.js';
import { validatePath } from './path.js';
import type { SubjectPublicKey } from './public-key.js';

export interface CrlRevocationOptions {
  /** Where certificates of CRL issuers other than the certificate's own issuer are looked for, and their intermediates. */
  certificates?: Certificate[];
}

/** Nested validations of CRL issuers that one question may cause. */
const MAX_NESTED_PATHS = 64;

/**
 * A revocation check over given CRLs by RFC 5280 section 6.3: complete and delta CRLs, indirect ones, CRLs split by
 * distribution point, by kind of certificate or by reason. A CRL counts only while `at` lies between thisUpdate and
 * nextUpdate, if every critical extension is known, and if its signer has the right issuer name, may sign CRLs, leads to the
 * same anchor as the certificate, and is itself not revoked. Answers 'unknown' unless all reasons are covered.
 */
export function crlRevocation(
  crls: readonly CertificateList[],
  at: Date,
  options: CrlRevocationOptions = {},
): RevocationCheck {
  const checker = new CrlChecker(crls, at, options.certificates ?? []);
  return (certificate, issuer, anchor) => checker.check(certificate, issuer, anchor);
}

class CrlChecker {
  private readonly complete: CertificateList[];
  private readonly deltas: CertificateList[];
  /** Certificates whose status is being found out: asked again about one of them, there is no answer. */
  private readonly asked = new Set<string>();
  private readonly verified = new Map<CertificateList, Map<string, boolean>>();
  private nestedPathsLeft = MAX_NESTED_PATHS;

  constructor(
    crls: readonly CertificateList[],
    private readonly at: Date,
    private readonly certificates: Certificate[],
  ) {
    const usable = crls.filter((crl) => crl.unusable === undefined && isCurrent(crl, at));
    // The newest first: it settles the reasons that it covers, and an older one cannot bring back what it dropped.
    this.complete = usable
      .filter((crl) => crl.deltaBase === undefined)
      .sort((a, b) => b.thisUpdate.getTime() - a.thisUpdate.getTime());
    this.deltas = usable.filter((crl) => crl.deltaBase !== undefined);
  }

  check(certificate: Certificate, issuer: PathIssuer, anchor: TrustAnchor): RevocationAnswer {
    const id = certificate.sha256.toString('hex');
    if (this.asked.has(id)) return 'unknown';
    if (this.asked.size === 0) this.nestedPathsLeft = MAX_NESTED_PATHS;
    this.asked.add(id);
    try {
      return this.determine(certificate, issuer, anchor);
    } finally {
      this.asked.delete(id);
    }
  }

  /** Section 6.3.3 (a) to (l) over all distribution points, the last being the certificate's issuer itself. */
  private determine(certificate: Certificate, issuer: PathIssuer, anchor: TrustAnchor): RevocationAnswer {
    let covered = 0;
    for (const source of sourcesOf(certificate)) {
      for (const crl of this.complete) {
        const reasons = coveredReasons(crl, source, certificate);
        if ((reasons & ~covered) === 0) continue;
        const signer = this.findSigner(crl, issuer, anchor);
        if (signer === undefined) continue;
        if (this.isRevokedBy(crl, signer, certificate)) return 'revoked';
        covered |= reasons;
        if (covered === ALL_REASONS) return 'good';
      }
    }
    return 'unknown';
  }

  /** Steps (c) and (h) to (k): the newest delta overrides the complete CRL where it lists the certificate. */
  private isRevokedBy(crl: CertificateList, signer: SubjectPublicKey, certificate: Certificate): boolean {
    const delta = this.deltas
      .filter((one) => isDeltaOf(one, crl) && this.isSignedBy(one, signer))
      .reduce<CertificateList | undefined>((best, one) => (newer(one, best) ? one : best), undefined);
    const entry: RevokedCertificate | undefined =
      delta?.find(certificate.serial, certificate.issuerDer) ?? crl.find(certificate.serial, certificate.issuerDer);
    return entry !== undefined && entry.reason !== 'removeFromCRL';
  }

  /** Steps (f) and (g): a key under the same anchor that has the CRL issuer's name, may sign CRLs, and did sign this one. */
  private findSigner(crl: CertificateList, issuer: PathIssuer, anchor: TrustAnchor): SubjectPublicKey | undefined {
    for (const known of [issuer, anchor]) {
      const allowed = known.certificate?.keyUsage?.includes('cRLSign') !== false;
      if (allowed && namesEqual(known.subjectDer, crl.issuerDer) && this.isSignedBy(crl, known.publicKey)) {
        return known.publicKey;
      }
    }
    const name = canonicalName(crl.issuerDer);
    for (const candidate of this.certificates) {
      if (candidate.keyUsage?.includes('cRLSign') === false) continue;
      if (canonicalName(candidate.subjectDer) !== name || !this.isSignedBy(crl, candidate.publicKey)) continue;
      if (this.leadsTo(candidate, anchor)) return candidate.publicKey;
    }
    return undefined;
  }

  private leadsTo(leaf: Certificate, anchor: TrustAnchor): boolean {
    if (this.nestedPathsLeft <= 0) return false;
    this.nestedPathsLeft -= 1;
    const revocation: RevocationCheck = (certificate, issuer) => this.check(certificate, issuer, anchor);
    const { certificates: intermediates, at } = this;
    return validatePath({ leaf, intermediates, anchors: [anchor], at, revocation }).ok;
  }

  private isSignedBy(crl: CertificateList, key: SubjectPublicKey): boolean {
    const byKey = this.verified.get(crl) ?? new Map<string, boolean>();
    this.verified.set(crl, byKey);
    const id = key.sha256.toString('hex');
    const known = byKey.get(id);
    if (known !== undefined) return known;
    const valid = openKey(key) !== undefined && verifyCrl(crl, key);
    byKey.set(id, valid);
    return valid;
  }
}

/** Step (a); a CRL without nextUpdate says nothing about how long it holds and is not used. */
function isCurrent(crl: CertificateList, at: Date): boolean {
  return crl.nextUpdate !== undefined && crl.thisUpdate <= at && at < crl.nextUpdate;
}

function sourcesOf(certificate: Certificate): CrlSource[] {
  const extension = certificate.extensions.get(OID.cRLDistributionPoints);
  const named = extension === undefined ? [] : readCrlSources(extension.value, certificate.issuerDer);
  const issuer: GeneralName = { type: 'directory', der: certificate.issuerDer };
  return [...named, { names: [issuer], reasons: ALL_REASONS, crlIssuer: undefined }];
}

/** Steps (b) and (d): the reasons for which this CRL speaks about this certificate at this distribution point; 0 if not at all. */
function coveredReasons(crl: CertificateList, source: CrlSource, certificate: Certificate): number {
  const idp = crl.issuingDistributionPoint;
  if (source.crlIssuer === undefined) {
    if (!namesEqual(crl.issuerDer, certificate.issuerDer)) return 0;
  } else {
    if (idp?.indirectCrl !== true) return 0;
    if (!shareName(source.crlIssuer, [{ type: 'directory', der: crl.issuerDer }])) return 0;
  }
  if (idp === undefined) return source.reasons;
  const names = source.names ?? source.crlIssuer ?? [];
  if (idp.names !== undefined && !shareName(idp.names, names)) return 0;
  const isCa = certificate.basicConstraints?.ca === true;
  if ((idp.onlyContainsUserCerts && isCa) || (idp.onlyContainsCACerts && !isCa)) return 0;
  return idp.onlyContainsAttributeCerts ? 0 : source.reasons & idp.onlySomeReasons;
}

/** Step (c) and section 5.2.4: same issuer, scope and key identifier; starts at or before the complete CRL and goes beyond it. */
function isDeltaOf(delta: CertificateList, crl: CertificateList): boolean {
  if (crl.number === undefined || delta.number === undefined || delta.deltaBase === undefined) return false;
  const scope = (list: CertificateList): Buffer | undefined => list.extensions.get(OID.issuingDistributionPoint)?.value;
  return (
    namesEqual(delta.issuerDer, crl.issuerDer) &&
    sameBytes(scope(delta), scope(crl)) &&
    sameBytes(delta.authorityKeyId, crl.authorityKeyId) &&
    delta.deltaBase <= crl.number &&
    crl.number < delta.number
  );
}

function newer(a: CertificateList, b: CertificateList | undefined): boolean {
  return b === undefined || (a.number ?? 0n) > (b.number ?? 0n);
}

function sameBytes(a: Buffer | undefined, b: Buffer | undefined): boolean {
  return a === undefined || b === undefined ? a === b : a.equals(b);
}
