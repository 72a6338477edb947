import { isAuthorityError, wholeSecond } from '#kernel';
import type { Certificate } from './certificate.js';
import { canonicalName } from './name.js';
import { NameConstraints } from './name-constraints.js';
import { OID } from './oids.js';
import { fail, openKey, printable } from './path-build.js';
import type { PathFailure, PathFailureCode, PathInput, PathIssuer, TrustAnchor } from './path.js';
import { PolicyGraph } from './policy-graph.js';

/** Everything that is processed here or by the revocation check; any other critical extension fails the path. */
const PROCESSED_EXTENSIONS: ReadonlySet<string> = new Set([
  OID.subjectKeyIdentifier,
  OID.authorityKeyIdentifier,
  OID.keyUsage,
  OID.subjectAltName,
  OID.issuerAltName,
  OID.basicConstraints,
  OID.nameConstraints,
  OID.cRLDistributionPoints,
  OID.freshestCRL,
  OID.certificatePolicies,
  OID.policyMappings,
  OID.policyConstraints,
  OID.inhibitAnyPolicy,
  OID.extKeyUsage,
  OID.authorityInfoAccess,
  OID.ocspNoCheck,
  OID.noRevAvail,
]);

const ANY_POLICY = { initial: 'any', explicit: false, mappingInhibited: false, anyInhibited: false } as const;
const MIN_RSA_BITS = 2048;

/** State of RFC 5280 section 6.1.2 while walking from the anchor to the leaf. */
interface State {
  readonly names: NameConstraints;
  readonly policies: PolicyGraph;
  /** max_path_length: intermediates, self-issued ones not counted, that may still follow. */
  pathLength: number;
}

/** Validates a chain whose names and signatures fit (RFC 5280 section 6.1). Undefined: it holds. */
export function checkPath(path: Certificate[], anchor: TrustAnchor, input: PathInput): PathFailure | undefined {
  const state: State = {
    names: new NameConstraints(),
    policies: new PolicyGraph(input.policies ?? ANY_POLICY, path.length),
    pathLength: path.length,
  };
  const downward = path.toReversed();
  return (
    checkAnchor(anchor, input.at, state) ??
    firstOf(downward, (certificate, index) => checkCertificate(certificate, index === path.length - 1, input, state)) ??
    checkRevocation(downward, anchor, input)
  );
}

function firstOf(
  certificates: Certificate[],
  check: (certificate: Certificate, index: number) => PathFailure | undefined,
): PathFailure | undefined {
  for (const [index, certificate] of certificates.entries()) {
    const failure = check(certificate, index);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

/** An anchor is trusted as configured; what its own certificate limits is kept (RFC 5937 section 3). */
function checkAnchor({ certificate }: TrustAnchor, at: Date, state: State): PathFailure | undefined {
  if (certificate === undefined) return undefined;
  const { basicConstraints, keyUsage } = certificate;
  if (basicConstraints?.ca === false) return fail('notCa', `${subjectOf(certificate)} is not an authority`);
  if (keyUsage?.includes('keyCertSign') === false)
    return fail('keyUsage', `${subjectOf(certificate)} must not sign certificates`);
  state.pathLength = Math.min(state.pathLength, basicConstraints?.pathLen ?? Infinity);
  return checkValidity(certificate, at) ?? addNameConstraints(certificate, state);
}

/** Sections 6.1.3 to 6.1.5 for one certificate, but for signature, issuer name and revocation. */
function checkCertificate(
  certificate: Certificate,
  last: boolean,
  input: PathInput,
  state: State,
): PathFailure | undefined {
  const selfIssued = canonicalName(certificate.issuerDer) === canonicalName(certificate.subjectDer);
  return (
    checkValidity(certificate, input.at) ??
    checkKeySize(certificate) ??
    checkCriticalExtensions(certificate) ??
    (selfIssued && !last ? undefined : judge('nameConstraints', certificate, () => state.names.refusal(certificate))) ??
    judge('policy', certificate, () => state.policies.enter(certificate, selfIssued, last)) ??
    checkPurpose(certificate, input.eku, last) ??
    (last
      ? judge('policy', certificate, () => state.policies.conclude(certificate))
      : prepareNext(certificate, selfIssued, state))
  );
}

/** Section 6.1.4: the certificate signs the next one. */
function prepareNext(certificate: Certificate, selfIssued: boolean, state: State): PathFailure | undefined {
  const subject = subjectOf(certificate);
  if (certificate.basicConstraints?.ca !== true) return fail('notCa', `${subject} is not an authority`);
  if (!selfIssued) {
    if (state.pathLength <= 0) return fail('pathLen', `${subject} stands deeper than a path length constraint allows`);
    state.pathLength -= 1;
  }
  state.pathLength = Math.min(state.pathLength, certificate.basicConstraints.pathLen ?? Infinity);
  if (certificate.keyUsage?.includes('keyCertSign') === false) {
    return fail('keyUsage', `${subject} must not sign certificates`);
  }
  return (
    judge('policy', certificate, () => state.policies.prepareNext(certificate, selfIssued)) ??
    addNameConstraints(certificate, state)
  );
}

function addNameConstraints(certificate: Certificate, state: State): PathFailure | undefined {
  const extension = certificate.extensions.get(OID.nameConstraints);
  if (extension === undefined) return undefined;
  return judge('nameConstraints', certificate, () => {
    state.names.add(extension.value);
    return undefined;
  });
}

/** Both ends count (section 4.1.2.5): the second of notAfter is still inside. */
function checkValidity(certificate: Certificate, at: Date): PathFailure | undefined {
  const second = wholeSecond(at).getTime();
  if (second > certificate.notAfter.getTime()) {
    return fail('expired', `${subjectOf(certificate)} expired at ${certificate.notAfter.toISOString()}`);
  }
  if (second < certificate.notBefore.getTime()) {
    return fail('notYetValid', `${subjectOf(certificate)} is valid from ${certificate.notBefore.toISOString()} on`);
  }
  return undefined;
}

function checkKeySize(certificate: Certificate): PathFailure | undefined {
  if (certificate.publicKey.keyType !== 'rsa-other') return undefined;
  const bits = openKey(certificate.publicKey)?.asymmetricKeyDetails?.modulusLength ?? 0;
  return bits >= MIN_RSA_BITS
    ? undefined
    : fail('weakAlgorithm', `${subjectOf(certificate)} has an RSA key of ${bits} bits`);
}

function checkCriticalExtensions(certificate: Certificate): PathFailure | undefined {
  for (const { oid, critical } of certificate.extensions.values()) {
    if (critical && !PROCESSED_EXTENSIONS.has(oid)) {
      return fail(
        'criticalExtension',
        `${subjectOf(certificate)} has the critical extension ${oid}, which is not known here`,
      );
    }
  }
  return undefined;
}

/**
 * Section 4.2.1.12 for the leaf. An authority that names purposes limits what it certifies to them: RFC 5280 is silent about
 * that, and every large validator does it. OCSP signing must be named, "any" is not enough (RFC 6960 section 4.2.2.2).
 */
function checkPurpose(certificate: Certificate, eku: string | undefined, last: boolean): PathFailure | undefined {
  if (eku === undefined) return undefined;
  const { eku: named } = certificate;
  const explicit = last && eku === OID.ocspSigning;
  const allowed =
    named === undefined ? !explicit : named.includes(eku) || (!explicit && named.includes(OID.anyExtendedKeyUsage));
  return allowed ? undefined : fail('eku', `${subjectOf(certificate)} is not meant for purpose ${eku}`);
}

function checkRevocation(downward: Certificate[], anchor: TrustAnchor, input: PathInput): PathFailure | undefined {
  const { revocation } = input;
  if (revocation === undefined) return undefined;
  let issuer: PathIssuer = anchor;
  return firstOf(downward, (certificate) => {
    const answer = revocation(certificate, issuer, anchor);
    issuer = { subjectDer: certificate.subjectDer, publicKey: certificate.publicKey, certificate };
    if (answer === 'good') return undefined;
    return answer === 'revoked'
      ? fail('revoked', `${subjectOf(certificate)} is revoked`)
      : fail('revocationUnknown', `It is not known whether ${subjectOf(certificate)} is revoked`);
  });
}

/** Runs one judgement; an extension that cannot be read counts as a refusal of the same kind. */
function judge(
  code: PathFailureCode,
  certificate: Certificate,
  refusal: () => string | undefined,
): PathFailure | undefined {
  try {
    const reason = refusal();
    return reason === undefined ? undefined : fail(code, `${subjectOf(certificate)}: ${reason}`);
  } catch (error) {
    if (isAuthorityError(error)) return fail(code, `${subjectOf(certificate)}: ${error.detail}`);
    throw error;
  }
}

function subjectOf(certificate: Certificate): string {
  return certificate.subject.length === 0 ? `certificate ${certificate.serial}` : printable(certificate.subject);
}
