import type { KeyObject } from 'node:crypto';
import { isAuthorityError } from '#kernel';
import type { Certificate } from './certificate.js';
import type { Name } from './name.js';
import { canonicalName, nameToString } from './name.js';
import type { PathFailure, PathInput, TrustAnchor } from './path.js';
import type { SubjectPublicKey } from './public-key.js';
import { signatureDigest, verifyBytes } from './signature.js';

const DEFAULT_MAX_DEPTH = 10;
const MAX_SIGNATURES = 100;
/** Ends the search in a dense net of cross-certificates, where paths are many though signatures are few. */
const MAX_STEPS = 1000;

export interface PathCandidate {
  /** Leaf first, anchor excluded; every signature on it is verified. */
  path: Certificate[];
  anchor: TrustAnchor;
}

/**
 * Searches chains of names and signatures from the leaf upwards, depth first, likely issuers first. A certificate occurs at
 * most once on a path, and so does a pair of name and key: loops of cross-certificates end there.
 */
export class PathBuilder {
  private readonly bySubject = new Map<string, Certificate[]>();
  private readonly anchorsBySubject: Map<string, TrustAnchor[]>;
  private readonly verified = new Map<string, boolean>();
  private readonly maxDepth: number;
  private signaturesLeft = MAX_SIGNATURES;
  private stepsLeft = MAX_STEPS;
  private sawBadSignature = false;
  private sawWeakAlgorithm = false;

  constructor(private readonly input: PathInput) {
    this.maxDepth = input.maxDepth ?? DEFAULT_MAX_DEPTH;
    const seen = new Set<string>();
    for (const certificate of input.intermediates) {
      const id = certificate.sha256.toString('hex');
      if (seen.has(id)) continue;
      seen.add(id);
      const subject = canonicalName(certificate.subjectDer);
      const known = this.bySubject.get(subject);
      if (known === undefined) this.bySubject.set(subject, [certificate]);
      else known.push(certificate);
    }
    this.anchorsBySubject = Map.groupBy(input.anchors, (anchor) => canonicalName(anchor.subjectDer));
  }

  candidates(): Generator<PathCandidate> {
    return this.extend([this.input.leaf]);
  }

  /** Why there was no candidate at all. */
  failure(): PathFailure {
    const { issuer } = this.input.leaf;
    if (this.signaturesLeft <= 0 || this.stepsLeft <= 0) {
      return fail('noPath', 'There are too many certificates to search for a path');
    }
    if (this.sawWeakAlgorithm)
      return fail('weakAlgorithm', 'A certificate is signed by an algorithm that is not accepted');
    if (this.sawBadSignature)
      return fail('badSignature', 'A signature was not made by the issuer that the certificate names');
    if (issuer.length === 0) return fail('name', 'The certificate names no issuer');
    return fail('noPath', `No path leads from issuer ${printable(issuer)} to a trusted authority`);
  }

  private *extend(path: Certificate[]): Generator<PathCandidate> {
    if (--this.stepsLeft < 0) return;
    const top = path.at(-1) as Certificate;
    const issuerName = canonicalName(top.issuerDer);
    const anchors = this.anchorsBySubject.get(issuerName) ?? [];
    for (const anchor of byKeyId(anchors, top, (one) => one.certificate?.subjectKeyId ?? one.publicKey.keyId)) {
      if (this.isSignedBy(top, anchor.publicKey)) yield { path, anchor };
    }
    if (path.length >= this.maxDepth) return;
    const issuers = this.bySubject.get(issuerName) ?? [];
    for (const issuer of byKeyId(issuers, top, (one) => one.subjectKeyId)) {
      if (!path.some((one) => repeats(one, issuer)) && this.isSignedBy(top, issuer.publicKey)) {
        yield* this.extend([...path, issuer]);
      }
    }
  }

  private isSignedBy(certificate: Certificate, key: SubjectPublicKey): boolean {
    const edge = `${certificate.sha256.toString('hex')}${key.sha256.toString('hex')}`;
    const known = this.verified.get(edge);
    if (known !== undefined) return known;
    if (this.signaturesLeft <= 0) return false;
    this.signaturesLeft -= 1;
    const valid = this.verify(certificate, key);
    this.verified.set(edge, valid);
    return valid;
  }

  private verify(certificate: Certificate, key: SubjectPublicKey): boolean {
    const { signatureAlgorithmDer, tbs, signature } = certificate;
    const allowSha1 = this.input.allowSha1 ?? false;
    const opened = openKey(key);
    const valid = opened !== undefined && verifyBytes(signatureAlgorithmDer, opened, tbs, signature, { allowSha1 });
    if (!valid && signatureDigest(signatureAlgorithmDer) === undefined && !allowSha1) this.sawWeakAlgorithm = true;
    else if (!valid) this.sawBadSignature = true;
    return valid;
  }
}

export function fail(code: PathFailure['code'], detail: string): PathFailure {
  return { ok: false, code, detail };
}

/** RFC 4514 text for messages, also of names of others that have no such text. */
export function printable(name: Name): string {
  try {
    return nameToString(name);
  } catch (error) {
    if (isAuthorityError(error)) return '(a name that cannot be printed)';
    throw error;
  }
}

/** Undefined for a key that OpenSSL cannot read: nothing verifies under it. */
export function openKey(key: SubjectPublicKey): KeyObject | undefined {
  try {
    return key.keyObject;
  } catch (error) {
    if (isAuthorityError(error)) return undefined;
    throw error;
  }
}

function repeats(a: Certificate, b: Certificate): boolean {
  return a.publicKey.sha256.equals(b.publicKey.sha256) && canonicalName(a.subjectDer) === canonicalName(b.subjectDer);
}

/** Key identifiers are hints (RFC 5280 section 4.2.1.1): they order the issuers and rule none out. */
function byKeyId<T>(issuers: T[], child: Certificate, keyId: (issuer: T) => Buffer | undefined): T[] {
  const wanted = child.authorityKeyId;
  if (wanted === undefined || issuers.length < 2) return issuers;
  const rank = (issuer: T): number => {
    const id = keyId(issuer);
    return id === undefined ? 1 : id.equals(wanted) ? 0 : 2;
  };
  return issuers.toSorted((a, b) => rank(a) - rank(b));
}
