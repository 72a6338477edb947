import { isAuthorityError } from '#kernel';
import type { KeyUsage } from './certificate-extensions.js';
import { type Certificate, readCertificate } from './certificate.js';
import type { SubjectPublicKey } from './public-key.js';
import { BODY_RULES } from './lint-body.js';
import { EXTENSION_RULES } from './lint-extensions.js';
import { NAME_RULES } from './lint-names.js';
import { POLICY_RULES } from './lint-policies.js';
import { PURPOSE_RULES } from './lint-purpose.js';
import type { KeyType } from './public-key.js';

/** What a profile promises about its certificates; the linter holds the bytes to it. */
export interface LintRules {
  selfSigned: boolean;
  /** The issuing CA; undefined exactly for self-signed certificates. */
  issuer: { subjectDer: Buffer; keyId: Buffer; keyType: KeyType; notAfter: Date } | undefined;
  ca: boolean;
  /** Longest validity, both ends counted: a certificate of a day has 86,400 seconds and ends 86,399 after it began (X06). */
  maxValiditySeconds: number;
  /** Key types that may be certified. */
  keyTypes: readonly KeyType[];
  /** Usages that may be set; at least one must be. */
  keyUsage: readonly KeyUsage[];
  /** Purposes (OIDs) that may be named; empty: the extension must be absent, else it must be there. */
  eku: readonly string[];
  san: 'required' | 'optional' | 'forbidden';
  /** 'crl': no OCSP URI may be there; 'none': neither, and noRevAvail or ocsp-nocheck in end entities. */
  revocation: 'crl+ocsp' | 'crl' | 'none';
}

export type LintSeverity = 'error' | 'warning' | 'notice';

export interface LintFinding {
  /** Conformance id, a dot, and a name within it. */
  id: string;
  /** error: an RFC forbids it; warning: an RFC advises against it; notice: a house rule. Each of them blocks. */
  severity: LintSeverity;
  text: string;
}

export interface LintRule extends LintFinding {
  /** `text` says what must be so; a finding means that it is not. */
  holds(certificate: Certificate, rules: LintRules): boolean;
}

/** Every rule, in the order of its findings. */
export const LINT_RULES: readonly LintRule[] = [
  ...BODY_RULES,
  ...NAME_RULES,
  ...EXTENSION_RULES,
  ...POLICY_RULES,
  ...PURPOSE_RULES,
];

/** Findings about a whole certificate, the empty array if there is nothing to say. Never throws for what the bytes hold. */
export function lintCertificate(der: Buffer, rules: LintRules): LintFinding[] {
  return lintWhole(der, rules).findings;
}

/**
 * As `lintCertificate`, with the certificate as read, unless it cannot be. `known` stands in for the public key where its
 * bytes are the same: importing a key into OpenSSL once more costs as much as all the rules.
 */
export function lintWhole(
  der: Buffer,
  rules: LintRules,
  known?: SubjectPublicKey,
): { certificate: Certificate; findings: LintFinding[] } | { certificate: undefined; findings: [LintFinding] } {
  let certificate: Certificate;
  try {
    certificate = readCertificate(der);
    if (known?.spki.equals(certificate.publicKey.spki)) certificate = { ...certificate, publicKey: known };
  } catch (error) {
    if (!isAuthorityError(error)) throw error;
    return { certificate: undefined, findings: [{ id: 'X01.readable', severity: 'error', text: error.detail }] };
  }
  const findings = LINT_RULES.filter((rule) => !holds(rule, certificate, rules));
  return { certificate, findings: findings.map(({ id, severity, text }) => ({ id, severity, text })) };
}

/** A part that cannot even be read does not hold. */
function holds(rule: LintRule, certificate: Certificate, rules: LintRules): boolean {
  try {
    return rule.holds(certificate, rules);
  } catch (error) {
    if (isAuthorityError(error)) return false;
    throw error;
  }
}
