export { scopeOf, systemActor } from './context.js';
export type { Actor, AuthorityContext } from './context.js';
export type { Transactor } from './transactor.js';
export { FailedAttempts } from './failed-attempts.js';
export { DigestNonces } from './enrollment/authenticate/digest-nonces.js';
export { SharedFailures } from './shared-failures.js';
export { Quotas } from './quota.js';
export { changeQuotas, readQuotas } from './change-quotas.js';
export { caIssuersUri, crlUri, IssuerDirectory, ocspUri } from './issuer-directory.js';
export type { Issuer, Wanted } from './hierarchy.js';
export { ensureHierarchy, readRoot, readServerRoot } from './create-ca.js';
export { currentLabel, currentLabels, currentProfile, currentProfiles, findProfile } from './current-profile.js';
export {
  proposeProfile,
  proposeProfileChange,
  proposeProfileWithdrawal,
  proposeWholeProfile,
} from './approvals/propose-profile.js';
export { currentAnchors, currentAnchorSets } from './current-anchors.js';
export type { CurrentAnchors } from './current-anchors.js';
export type { PolicyView } from './current-profile.js';
export { profileVersion } from './profile-versions.js';
export {
  ensureAuthority,
  authenticateOperator,
  auditFailedAuthentication,
  issueBootstrapToken,
  writeToken,
} from './operator-access.js';
export type { Caller } from './operator-access.js';
export { createApp, createDeviceGroup, createOrganization, createRelease } from './registry.js';
export { changeDevice, registerDevice, resetDevice } from './register-device.js';
export { addFingerprint, removeFingerprint } from './device-identities.js';
export { storeCrl } from './anchor-crl.js';
export type { StoredCrl } from './anchor-crl.js';
export type { DeviceRequest, Enrollment } from './register-device.js';
export { dryRun } from './enrollment/dry-run.js';
export type { DryRun, DryRunRequest, ExpectedCertificate } from './enrollment/dry-run.js';
export { deviceStatus, resumeDevice, revokeDevice, suspendDevice } from './device-standing.js';
export { groupStatus, resumeGroup, suspendGroup } from './group-standing.js';
export { followGroup } from './follow-group.js';
export { claimDomain } from './names/claim-domain.js';
export { countUnderDomain, disableDomain, MASS_REVOCATION } from './names/disable-domain.js';
export { domainStatus } from './names/domain-standing.js';
export type { DomainStatus } from './names/domain-standing.js';
export { challengeOf } from './names/find-proof.js';
export { followName } from './names/follow-name.js';
export { followRa } from './follow-ra.js';
export { proposeObtainedRevocation, readObtained } from './revoke-obtained.js';
export type { Obtained } from './revoke-obtained.js';
export { enableDomain, verifyDomain } from './names/prove-domain.js';
export { recheckDomains } from './names/recheck-domains.js';
export { createUser, disableUser, enableUser, USER_TYPES, userStatus } from './names/users.js';
export type { GivenName } from './names/entitle.js';
export { withdrawRole } from './withdraw-role.js';
export { effectiveStatus, keyStatus, resumeKey, revokeKey, suspendKey } from './change-key.js';
export { issueKey, rotateKey } from './issue-key.js';
export type { Audience, IssuedKey } from './issue-key.js';
export { certificateStatus, parseSerial, releaseCertificate, revokeCertificate } from './certificates.js';
export type { ShownCertificateStatus } from './certificates.js';
export type { Receipt } from './change-status.js';
export { introspect } from './introspect.js';
export type { InactiveReason, IntrospectionAnswer } from './introspect.js';
export { flagExposedKeys } from './exposed-key.js';
export { withIdempotency } from './idempotent.js';
export type { Answer, IdempotentRequest } from './idempotent.js';
export { enrollOverEst } from './enrollment/enroll.js';
export { enrollWithServerKey } from './enrollment/enroll-with-server-key.js';
export type { ServerKey, ServerKeyOutcome, ServerKeyRequest } from './enrollment/enroll-with-server-key.js';
export { answerFullRequest } from './enrollment/full-request.js';
export type { FullAnswer, FullRequest } from './enrollment/full-request.js';
export { registerTransportKey, removeTransportKey } from './transport-keys.js';
export { csrDemandFor } from './enrollment/csr-demand.js';
export { expirePendingEnrollments } from './enrollment/close-pending.js';
export { approvePending, isOurs, pendingFacts, rejectPending } from './enrollment/decide-pending.js';
export { namesToIssue } from './enrollment/names-to-issue.js';
export { allowLateRenewal, LATE_RENEWAL_DAYS } from './enrollment/late-renewal.js';
export { callRenewal, renewalAdvice } from './renewal-advice.js';
export type { RenewalAdvice } from './renewal-advice.js';
export { revokeSuperseded } from './supersede.js';
export { AccountVerifier } from './enrollment/authenticate/account-verifier.js';
export { recordRefusal } from './enrollment/record-refusal.js';
export type { EnrollmentOutcome, EstRequest } from './enrollment/est-request.js';
export { reconcileIntents } from './reconcile.js';
export { importBlockedKeys, proposeBlockedKeyRevocation } from './blocked-keys/import-keys.js';
export type { ImportedKeys, KeyList } from './blocked-keys/import-keys.js';
export { scanKeys } from './blocked-keys/scan-keys.js';
export { recordExpirations } from './expirations.js';
export { renewOcspDelegate } from './ocsp-delegate.js';
export { renewServerCertificate } from './server-certificate.js';
export { approve, reject, withdraw } from './approvals/decide.js';
export type { Approved } from './approvals/decide.js';
export { propose } from './approvals/propose.js';
export type { Proposed } from './approvals/propose.js';
export type { Executed, Operation } from './approvals/operation.js';
export { readProposal } from './approvals/proposal.js';
export { expireProposals } from './approvals/expire.js';
export {
  findCaRevocation,
  proposeCrossSigning,
  proposeIssuer,
  proposeIssuerActivation,
  proposeIssuerImport,
  proposeIssuerRevocation,
  proposeIssuerRollover,
} from './approvals/propose-ca.js';
export { reconcileIssuers } from './complete-ca.js';
export { externalIssuerId } from './external-chain.js';
export { importCrl } from './import-crl.js';
export { issuerRequest } from './requested-ca.js';
export { COMING_STATES, issuersToCome } from './issuers-to-come.js';
export type { IssuerToCome } from './issuers-to-come.js';
export type { CaWish } from './approvals/check-plan.js';
export {
  proposeAnchorsChange,
  proposeAnchorsWithdrawal,
  proposeLabelChange,
  proposeLabelWithdrawal,
} from './approvals/propose-access.js';
export type { AnchorSettings } from './approvals/change-anchors.js';
export type { LabelSettings } from './approvals/change-label.js';
export { createPerson } from './people/create-person.js';
export { createInvitation, hasAccess, invitePerson } from './people/invite.js';
export type { Invitation } from './people/invite.js';
export { removePerson } from './people/remove-person.js';
export type { RemovedPerson } from './people/remove-person.js';
export { issueToken } from './tokens/issue-token.js';
export type { IssuedToken, TokenRequest } from './tokens/issue-token.js';
export { revokeToken, rotateToken, signOut, tokenStatus } from './tokens/change-token.js';
export type { ShownTokenStatus } from './tokens/change-token.js';
export { TokenUse } from './tokens/token-use.js';
export { CANARY_VENDOR, ensureCanaryVendor, issueCanaryToken, recordCanary } from './canary.js';
export type { CanaryResult } from './canary.js';
export { ATTEMPT_SECONDS, beginAttempt, takeAttempt } from './people/sign-in-attempt.js';
export type { From } from './people/sign-in-attempt.js';
export type { SignedIn } from './people/session.js';
export { refuseSignIn } from './people/session.js';
export { redeemInvitation } from './people/redeem-invitation.js';
export { beginPasskey, registerPasskey, removePasskey } from './people/register-passkey.js';
export type { RelyingParty } from './people/register-passkey.js';
export { beginPasskeySignIn, signInByPasskey } from './people/sign-in-by-passkey.js';
export { signInByAccount } from './people/sign-in-by-account.js';
export type { Account } from './people/sign-in-by-account.js';
export { EVENT_TYPES, isEventFilter } from './notices/event-types.js';
export type { EventType } from './notices/event-types.js';
export { dispatchNotices } from './notices/dispatch.js';
export { deliverWebhooks } from './notices/deliver-webhooks.js';
export { deliverMail } from './notices/deliver-mail.js';
export { createMailer } from './notices/mailer.js';
export type { Mailer } from './notices/mailer.js';
export { WebhookSender } from './notices/send-webhook.js';
export { WebhookGuard } from './notices/webhook-target.js';
export { warnOfExpiry } from './notices/expiry-notices.js';
export {
  changeWebhook,
  createWebhook,
  removeWebhook,
  replayDelivery,
  rotateWebhook,
  testWebhook,
} from './notices/webhooks.js';
export type { WebhookWithSecret } from './notices/webhooks.js';
export {
  changeMailSubscription,
  createMailSubscription,
  isMailAddress,
  removeMailSubscription,
} from './notices/mail-subscriptions.js';
export { GuardedSigner } from './signer/guarded-signer.js';
export type { SignerContext } from './signer/signer-context.js';
export { rewrapVerifiers } from './rewrap/rewrap-verifiers.js';
export type { Rewrapped } from './rewrap/rewrap-verifiers.js';
export { rewrapAuditKey, rewrapCaKeys, rewrapOcspDelegates, rewrapWebhooks } from './rewrap/rewrap-keys.js';
export { recordRotation } from './rewrap/record-rotation.js';
