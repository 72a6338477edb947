export * from './oids.js';
export { DEFAULT_LIMITS, DerReader } from './der/read.js';
export type { DerLimits } from './der/read.js';
export { contextConstructedTag, contextTag, TAG } from './der/tags.js';
export { der, derHeader } from './der/write.js';

// CRL
export type { CrlEntry, CrlReason } from './crl.js';
export { CRL_REASON_CODES, crlReasonOf } from './crl.js';
export type { CrlTemplate, CrlTemplateHead } from './crl-write.js';
export { assembleCrl, CrlTbsWriter, encodeCrlTbs } from './crl-write.js';
export type { CertificateList, RevokedCertificate } from './crl-read.js';
export { readCrl, verifyCrl } from './crl-read.js';
export type { IssuingDistributionPoint } from './distribution-point.js';
// OCSP
export type { CertId, CertIdHash } from './cert-id.js';
export { issuerHashes, makeCertId } from './cert-id.js';
export type { OcspErrorStatus, OcspRequest } from './ocsp-request.js';
export { OcspRequestError, readOcspRequest } from './ocsp-request.js';
export type { CertStatus, OcspResponseFields, SingleResponse } from './ocsp-response-write.js';
export { assembleOcspResponse, encodeOcspResponseData, ocspError } from './ocsp-response-write.js';
export type { BasicOcspResponse } from './ocsp-response-read.js';
export { readOcspResponse } from './ocsp-response-read.js';
