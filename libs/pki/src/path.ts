import type { Certificate } from './certificate.js';
import { PathBuilder } from './path-build.js';
import { checkPath } from './path-check.js';
import type { PolicyInput } from './policy-graph.js';
import type { SubjectPublicKey } from './public-key.js';

export interface TrustAnchor {
  subjectDer: Buffer;
  publicKey: SubjectPublicKey;
  /** If given, its validity, basic constraints, key usage and name constraints hold too (RFC 5937). */
  certificate?: Certificate;
  /** Name of the anchor set it belongs to; the result tells which one matched (E41). */
  set: string;
}

/** Who signed a certificate of the path: an intermediate, or the anchor. */
export interface PathIssuer {
  subjectDer: Buffer;
  publicKey: SubjectPublicKey;
  certificate?: Certificate;
}

export type RevocationAnswer = 'good' | 'revoked' | 'unknown';

/** Asked once per certificate of a path that is otherwise valid, from the anchor's side. 'unknown' fails the path. */
export type RevocationCheck = (certificate: Certificate, issuer: PathIssuer, anchor: TrustAnchor) => RevocationAnswer;

export interface PathInput {
  leaf: Certificate;
  /** In any order; may contain certificates that do not belong to the path. */
  intermediates: Certificate[];
  anchors: TrustAnchor[];
  at: Date;
  /** OID of a purpose that the leaf, and each intermediate that names purposes, must allow. */
  eku?: string;
  /** Certificates on the path, leaf included and anchor not; 10 if left out. */
  maxDepth?: number;
  revocation?: RevocationCheck;
  policies?: PolicyInput;
  allowSha1?: boolean;
}

export type PathFailureCode =
  | 'noPath'
  | 'expired'
  | 'notYetValid'
  | 'badSignature'
  | 'revoked'
  | 'revocationUnknown'
  | 'notCa'
  | 'pathLen'
  | 'keyUsage'
  | 'eku'
  | 'nameConstraints'
  | 'policy'
  | 'criticalExtension'
  | 'name'
  | 'weakAlgorithm';

export interface PathFailure {
  ok: false;
  code: PathFailureCode;
  /** One public sentence. */
  detail: string;
}

export interface PathSuccess {
  ok: true;
  /** Leaf first, anchor excluded. */
  path: Certificate[];
  anchor: TrustAnchor;
}

export type PathResult = PathSuccess | PathFailure;

/** Complete chains that are judged before giving up. */
const MAX_CANDIDATES = 32;

/**
 * Builds paths from the leaf to an anchor and validates each by RFC 5280 section 6 (policies: RFC 9618) until one holds. If
 * none does, the failure is that of the first candidate. Revocation is checked only through `revocation`; without it nothing
 * is known about it. Work is bounded: at most 10 certificates deep (or `maxDepth`), 100 signatures and 32 candidates,
 * whatever is sent as intermediates. Throws nothing but what `revocation` throws.
 */
export function validatePath(input: PathInput): PathResult {
  const builder = new PathBuilder(input);
  let first: PathFailure | undefined;
  let candidates = 0;
  for (const { path, anchor } of builder.candidates()) {
    const failure = checkPath(path, anchor, input);
    if (failure === undefined) return { ok: true, path, anchor };
    first ??= failure;
    if (++candidates === MAX_CANDIDATES) break;
  }
  return first ?? builder.failure();
}
