import type { Certificate } from './certificate.js';
import {
  encodeAuthorityInfoAccess,
  encodeAuthorityKeyId,
  encodeDistributionPoint,
  encodeKeyUsage,
  encodeBasicConstraints,
  readDistributionPoints,
} from './certificate-extensions.js';
import { DerReader } from './der/read.js';
import { TAG } from './der/tags.js';
import { der } from './der/write.js';
import type { LintRule, LintRules } from './lint.js';
import { NameConstraints } from './name-constraints.js';
import { constrainsOneMailbox } from './name-constraints-write.js';
import { OID } from './oids.js';

const value = (certificate: Certificate, oid: string): Buffer | undefined => certificate.extensions.get(oid)?.value;
const isPlain = (certificate: Certificate, oid: string): boolean => certificate.extensions.get(oid)?.critical !== true;
const isHttp = (uri: string): boolean => /^http:\/\/[^/?#]+/.test(uri);
const issuerKeyId = (certificate: Certificate, rules: LintRules): Buffer =>
  rules.issuer?.keyId ?? certificate.publicKey.keyId;

/** `05 00`, or absent. */
const isNullOrAbsent = (certificate: Certificate, oid: string): boolean =>
  value(certificate, oid)?.equals(der.null()) !== false;

function isMinimalBasicConstraints(certificate: Certificate): boolean {
  const constraints = certificate.basicConstraints;
  if (constraints === undefined) return true;
  const { ca, pathLen } = constraints;
  return (
    value(certificate, OID.basicConstraints)?.equals(
      encodeBasicConstraints({ ca, ...(pathLen !== undefined && { pathLen }) }),
    ) === true
  );
}

function isPlainDistributionPoint(certificate: Certificate): boolean {
  const encoded = value(certificate, OID.cRLDistributionPoints);
  if (encoded === undefined) return true;
  const [uri] = certificate.crlUris;
  return (
    readDistributionPoints(encoded).length === 1 && uri !== undefined && encoded.equals(encodeDistributionPoint(uri))
  );
}

function isPlainInfoAccess(certificate: Certificate): boolean {
  const encoded = value(certificate, OID.authorityInfoAccess);
  if (encoded === undefined) return true;
  const { ocspUris, caIssuerUris } = certificate;
  return encoded.equals(encodeAuthorityInfoAccess({ ocspUri: ocspUris[0], caIssuersUri: caIssuerUris[0] }));
}

/** X27: noRevAvail stands where nothing else tells of revocation, and nowhere else. */
function isNoRevAvailRight(certificate: Certificate, rules: LintRules): boolean {
  const wanted = rules.revocation === 'none' && !rules.ca && !certificate.extensions.has(OID.ocspNoCheck);
  return certificate.extensions.has(OID.noRevAvail) === wanted;
}

function areNameConstraintsRight(certificate: Certificate): boolean {
  const encoded = value(certificate, OID.nameConstraints);
  if (encoded === undefined) return true;
  new NameConstraints().add(encoded);
  return !constrainsOneMailbox(encoded);
}

function isAppIdRight(certificate: Certificate): boolean {
  const encoded = value(certificate, OID.touchmarkAppId);
  if (encoded === undefined) return true;
  const reader = DerReader.open(encoded, 'app id');
  if (reader.peekTag() !== TAG.utf8String) return false;
  const text = reader.text();
  reader.finish();
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}

/** Rules about the extensions that tie a certificate to keys, status services and apps. */
export const EXTENSION_RULES: readonly LintRule[] = [
  {
    id: 'X12.authorityKeyId',
    severity: 'error',
    text: "the authority key identifier is the issuer's subject key identifier alone, not critical",
    holds: (certificate, rules) =>
      isPlain(certificate, OID.authorityKeyIdentifier) &&
      value(certificate, OID.authorityKeyIdentifier)?.equals(encodeAuthorityKeyId(issuerKeyId(certificate, rules))) ===
        true,
  },
  {
    id: 'X13.subjectKeyId',
    severity: 'error',
    text: 'the subject key identifier is the SHA-1 of the key bits, not critical',
    holds: (certificate) =>
      isPlain(certificate, OID.subjectKeyIdentifier) &&
      certificate.subjectKeyId?.equals(certificate.publicKey.keyId) === true,
  },
  {
    id: 'X14.ca',
    severity: 'error',
    text: 'basicConstraints says CA exactly where the profile makes one',
    holds: ({ basicConstraints }, rules) => (basicConstraints?.ca === true) === rules.ca,
  },
  {
    id: 'X14.critical',
    severity: 'error',
    text: 'basicConstraints of a CA is critical, and an end entity has none',
    holds: ({ extensions }, rules) => extensions.get(OID.basicConstraints)?.critical === (rules.ca ? true : undefined),
  },
  {
    id: 'X14.der',
    severity: 'error',
    text: 'basicConstraints encodes no default',
    holds: isMinimalBasicConstraints,
  },
  {
    id: 'X14.pathLen',
    severity: 'error',
    text: 'a path length stands only in a CA certificate that may sign certificates',
    holds: ({ basicConstraints, keyUsage }) =>
      basicConstraints?.pathLen === undefined || (basicConstraints.ca && keyUsage?.includes('keyCertSign') === true),
  },
  {
    id: 'X15.present',
    severity: 'error',
    text: 'keyUsage is there, critical, with at least one bit',
    holds: ({ keyUsage, extensions }) => (keyUsage ?? []).length > 0 && extensions.get(OID.keyUsage)?.critical === true,
  },
  {
    id: 'X15.der',
    severity: 'error',
    text: 'keyUsage has only named bits and no trailing zero bits',
    holds: (certificate) =>
      value(certificate, OID.keyUsage)?.equals(encodeKeyUsage(certificate.keyUsage ?? [])) !== false,
  },
  {
    id: 'X22.ca',
    severity: 'error',
    text: 'name constraints stand in CA certificates only, critical',
    holds: ({ extensions }, rules) =>
      extensions.get(OID.nameConstraints)?.critical !== false && (rules.ca || !extensions.has(OID.nameConstraints)),
  },
  {
    id: 'X22.form',
    severity: 'error',
    text: 'name constraints constrain something, and no single mailbox',
    holds: areNameConstraintsRight,
  },
  {
    id: 'X25.plain',
    severity: 'error',
    text: 'authorityInfoAccess is not critical and names at most one OCSP and one issuer URI',
    holds: (certificate) => isPlain(certificate, OID.authorityInfoAccess) && isPlainInfoAccess(certificate),
  },
  {
    id: 'X25.http',
    severity: 'warning',
    text: 'OCSP and issuer URIs are http',
    holds: ({ ocspUris, caIssuerUris }) => [...ocspUris, ...caIssuerUris].every(isHttp),
  },
  {
    id: 'X25.ocsp',
    severity: 'notice',
    text: 'there is an OCSP URI exactly where the profile offers OCSP',
    holds: ({ ocspUris }, rules) => ocspUris.length > 0 === (rules.revocation === 'crl+ocsp'),
  },
  {
    id: 'X26.plain',
    severity: 'error',
    text: 'cRLDistributionPoints is not critical and has one point with one full name, without reasons or cRLIssuer',
    holds: (certificate) => isPlain(certificate, OID.cRLDistributionPoints) && isPlainDistributionPoint(certificate),
  },
  {
    id: 'X26.http',
    severity: 'warning',
    text: 'the CRL URI is http',
    holds: ({ crlUris }) => crlUris.every(isHttp),
  },
  {
    id: 'X26.crl',
    severity: 'notice',
    text: 'there is a CRL URI exactly where the profile publishes CRLs',
    holds: ({ crlUris }, rules) => crlUris.length > 0 === (rules.revocation !== 'none'),
  },
  {
    id: 'X27.noRevAvail',
    severity: 'error',
    text: 'noRevAvail stands in end entities without any revocation service, and nowhere else',
    holds: isNoRevAvailRight,
  },
  {
    id: 'X27.form',
    severity: 'error',
    text: 'noRevAvail is NULL and not critical',
    holds: (certificate) => isPlain(certificate, OID.noRevAvail) && isNullOrAbsent(certificate, OID.noRevAvail),
  },
  {
    id: 'O34.form',
    severity: 'error',
    text: 'ocsp-nocheck is NULL and not critical',
    holds: (certificate) => isPlain(certificate, OID.ocspNoCheck) && isNullOrAbsent(certificate, OID.ocspNoCheck),
  },
  {
    id: 'X29.appId',
    severity: 'notice',
    text: 'the app id is a UTF8String with a lower-case UUID, not critical',
    holds: (certificate) => isPlain(certificate, OID.touchmarkAppId) && isAppIdRight(certificate),
  },
];
