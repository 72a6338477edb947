import { AuthorityError } from './errors.js';

/** All durations in seconds unless the name says otherwise. */
export interface Lifetimes {
  crlNextUpdate: number;
  crlRebuild: number;
  crlDebounceMs: number;
  rootCrlNextUpdate: number;
  ocspNextUpdate: number;
  ocspRenew: number;
  ocspMaxAge: number;
  ocspMaxAgeRevoked: number;
  ocspDelegate: number;
  ocspDelegateRenew: number;
  followerPollMs: number;
  enrollmentSecret: number;
  pendingEnrollment: number;
  /** When a pending request is asked for again at first. */
  pendingRetry: number;
  deviceCertificate: number;
  serverCertificate: number;
  serverCertificateRenew: number;
  issuingCa: number;
  rootCa: number;
  apiKeyMax: number;
}

/** A pair is inconsistent where the first must lie below the second for renewal to happen before the end. */
export function checkLifetimes(l: Lifetimes): void {
  const below: [keyof Lifetimes, keyof Lifetimes, string, string][] = [
    ['crlRebuild', 'crlNextUpdate', 'TOUCHMARK_CRL_REBUILD_SECONDS', 'TOUCHMARK_CRL_NEXT_UPDATE_SECONDS'],
    ['ocspRenew', 'ocspNextUpdate', 'TOUCHMARK_OCSP_RENEW_SECONDS', 'TOUCHMARK_OCSP_NEXT_UPDATE_SECONDS'],
    ['ocspMaxAge', 'ocspRenew', 'TOUCHMARK_OCSP_MAX_AGE_SECONDS', 'TOUCHMARK_OCSP_RENEW_SECONDS'],
    ['ocspMaxAgeRevoked', 'ocspRenew', 'TOUCHMARK_OCSP_MAX_AGE_REVOKED_SECONDS', 'TOUCHMARK_OCSP_RENEW_SECONDS'],
    [
      'ocspNextUpdate',
      'ocspDelegateRenew',
      'TOUCHMARK_OCSP_NEXT_UPDATE_SECONDS',
      'TOUCHMARK_OCSP_DELEGATE_RENEW_SECONDS',
    ],
    ['ocspDelegateRenew', 'ocspDelegate', 'TOUCHMARK_OCSP_DELEGATE_RENEW_SECONDS', 'TOUCHMARK_OCSP_DELEGATE_SECONDS'],
    [
      'serverCertificateRenew',
      'serverCertificate',
      'TOUCHMARK_SERVER_CERTIFICATE_RENEW_SECONDS',
      'TOUCHMARK_SERVER_CERTIFICATE_SECONDS',
    ],
    ['deviceCertificate', 'issuingCa', 'TOUCHMARK_DEVICE_CERTIFICATE_SECONDS', 'TOUCHMARK_ISSUING_CA_SECONDS'],
    ['issuingCa', 'rootCa', 'TOUCHMARK_ISSUING_CA_SECONDS', 'TOUCHMARK_ROOT_CA_SECONDS'],
  ];
  for (const [small, large, smallName, largeName] of below) {
    if (l[small] >= l[large]) {
      throw new AuthorityError(
        'invalid',
        `${smallName} (${l[small]}) must be smaller than ${largeName} (${l[large]})`,
        {
          member: smallName,
        },
      );
    }
  }
}
