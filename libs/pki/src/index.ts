export { OID } from './oids.js';

export { DEFAULT_LIMITS, DerReader } from './der/read.js';
export type { DerLimits } from './der/read.js';
export { contextConstructedTag, contextTag, TAG } from './der/tags.js';
export { walkDer } from './der/walk.js';
export { der, derHeader } from './der/write.js';

export { canonicalName, canonicalRdns, encodeName, namesEqual, nameToString, readName } from './name.js';
export type { Name, NameAttribute } from './name.js';
export {
  canonicalGeneralName,
  encodeGeneralName,
  encodeGeneralNames,
  readGeneralName,
  readGeneralNames,
} from './general-name.js';
export type { GeneralName } from './general-name.js';
export { encodeExtension, readExtensions } from './extension.js';
export { otherNameText, textOtherName } from './other-name.js';
export { isHostName } from './lint-names.js';
export type { Extension } from './extension.js';

export { checkKeyStrength, KEY_STRENGTH_RULES } from './key-strength.js';
export { keyFingerprint } from './key-fingerprint.js';
export { isKemKey, readPublicKey } from './public-key.js';
export type { KeyType, SubjectPublicKey } from './public-key.js';
export { encodePrivateKey, GENERATED_KEY_TYPES, generateKeyPair, readPrivateKey } from './generate-key.js';
export type { GeneratedKey, GeneratedKeyType } from './generate-key.js';
export { keyAlgorithm } from './key-algorithm.js';
export type { KeyAlgorithm } from './key-algorithm.js';
export { signatureAlgorithm, signatureDigest, signBytes, SUPPORTED_SIGNATURES, verifyBytes } from './signature.js';
export type { SignatureAlgorithm, SignatureDigest } from './signature.js';

export { MAX_CSR_BYTES, readCsr } from './csr.js';
export type { CertificationRequest } from './csr.js';
export type { PossessionStatement } from './csr-possession.js';
export { readKeyRequest } from './csr-keygen.js';
export type { KeyRequest } from './csr-keygen.js';
export { readCertReqMsg } from './crmf.js';
export { assembleCsr, encodeAttribute, encodeCsr, encodeCsrInfo } from './csr-write.js';
export type { CsrTemplate } from './csr-write.js';
export { readCertificate } from './certificate.js';
export type { Certificate } from './certificate.js';
export {
  encodeExtendedKeyUsage,
  encodeKeyUsage,
  KEY_USAGES,
  readExtendedKeyUsage,
  readKeyUsage,
} from './certificate-extensions.js';
export type { KeyUsage } from './certificate-extensions.js';
export { fromPem, toPem } from './pem.js';

export type { CertificateTemplate } from './template.js';
export { NameConstraints } from './name-constraints.js';
export { encodeNameConstraints } from './name-constraints-write.js';
export type { ConstrainedNames, NameConstraintsTemplate } from './name-constraints-write.js';
export { LINT_RULES, lintCertificate } from './lint.js';
export { fitsPurpose } from './lint-purpose.js';
export type { LintFinding, LintRule, LintRules, LintSeverity } from './lint.js';
export { assembleCertificate, prepareCertificate, restoreCertificate } from './prepare.js';
export type { PreparedCertificate } from './prepare.js';
export { newSerial } from './serial.js';

export { certsOnly, readCertsOnly } from './cms.js';
export { contentInfo, digestByOid, encodeSignedData } from './cms-signed.js';
export type { CmsSigner } from './cms-signed.js';
export { readSignedData, verifySigner } from './cms-signed-read.js';
export type { CmsSignerInfo, SignedMessage } from './cms-signed-read.js';
export type { ContentCipher } from './cms-enveloped.js';
export type { CmsRecipient, KeyWrap } from './cms-recipient.js';
export { sealKeyPackage } from './key-package.js';
export { sdpFingerprints } from './sdp.js';

export type { CrlEntry, CrlReason } from './crl.js';
export { CRL_REASON_CODES, crlReasonOf } from './crl.js';
export type { CrlTemplate, CrlTemplateHead } from './crl-write.js';
export { assembleCrl, CrlTbsWriter, encodeCrlTbs } from './crl-write.js';
export type { CertificateList, RevokedCertificate } from './crl-read.js';
export { readCrl, verifyCrl } from './crl-read.js';
export type { IssuingDistributionPoint } from './distribution-point.js';

export type { CertId, CertIdHash } from './cert-id.js';
export { issuerHashes, makeCertId } from './cert-id.js';
export type { OcspErrorStatus, OcspRequest } from './ocsp-request.js';
export { OcspRequestError, readOcspRequest } from './ocsp-request.js';
export type { CertStatus, OcspResponseFields, SingleResponse } from './ocsp-response-write.js';
export { assembleOcspResponse, encodeOcspResponseData, ocspError } from './ocsp-response-write.js';
export type { BasicOcspResponse } from './ocsp-response-read.js';
export { readOcspResponse } from './ocsp-response-read.js';

export type {
  PathFailure,
  PathFailureCode,
  PathInput,
  PathIssuer,
  PathResult,
  PathSuccess,
  RevocationAnswer,
  RevocationCheck,
  TrustAnchor,
} from './path.js';
export { validatePath } from './path.js';
export type { PolicyInput } from './policy-graph.js';
export type { CrlRevocationOptions } from './crl-revocation.js';
export { crlRevocation } from './crl-revocation.js';
