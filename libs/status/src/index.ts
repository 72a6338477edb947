export { Follower } from './follower.js';
export type { FollowerOptions } from './follower.js';
export type { DocumentEntry, KeyEntry, PersonEntry, StatusEntry, TokenEntry } from './index-entries.js';
export type { ReadonlyStatusIndex } from './status-index.js';
export {
  approvalRowMac,
  checkRowMac,
  deviceRowMac,
  domainRowMac,
  deviceIdentityMac,
  intentRowMac,
  invitationRowMac,
  invitationSealContext,
  keyImportRowMac,
  keyRowMac,
  keySealContext,
  nameUserRowMac,
  passkeyRowMac,
  personRowMac,
  policyDocumentMac,
  transportKeyMac,
  tokenRowMac,
  tokenSealContext,
} from './row-mac.js';
export {
  announcedDigest,
  announcedIssuers,
  ISSUER_STATUSES,
  kindOf,
  knownIssuer,
  knownLink,
  LINKED,
  mainRoot,
  REQUESTED,
  vouches,
} from './known-issuers.js';
export type { IssuerStatus, IssuerTerms, KnownIssuer, KnownLink } from './known-issuers.js';
export { ocspDelegateName, openOcspDelegate, resealOcspDelegate, sealOcspDelegate } from './ocsp-delegate.js';
export { lateRenewalMac, pendingEnrollmentMac, renewalCallMac } from './enrollment-mac.js';
export type { OcspDelegate } from './ocsp-delegate.js';
