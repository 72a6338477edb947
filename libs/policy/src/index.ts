export { ekuOf, isPublished, keyUsageOf, lintRules, NAME_TYPES, validity } from './profile.js';
export type { NameRule, NameType, Profile, Supersede } from './profile.js';
export { canonicalHost } from './names/host.js';
export { canonicalAddress } from './names/address.js';
export { nameText, readName, readTypedName } from './names/read-name.js';
export type { DeviceName } from './names/read-name.js';
export { checkNamesOfProfile } from './names/names-of-profile.js';
export { generalNameOf, readGeneralNameForm } from './names/general-name-form.js';
export { nameTypeOf, subjectOf } from './name-type.js';
export { profiles, SHIPPED_PROFILES, shippedProfile } from './shipped-profiles.js';
export type { ShippedProfile } from './shipped-profiles.js';
export { AUTHENTICATION_METHODS, DEFAULT_LABEL, OPTIONAL_OPERATIONS, overEst, shippedLabel } from './est-label.js';
export type { AuthenticationMethod, EstLabel, OptionalOperation } from './est-label.js';
export { MAX_CUSTOM_PROFILES, validityBounds } from './profile-bounds.js';
export { examineProfile, KEY_TYPES, profileDocument, readProfileDocument, storedProfile } from './profile-document.js';
export type { ProfileDocument, ProfileFault } from './profile-document.js';
export { profileWarnings, renewsOverTls } from './profile-rules.js';
export { decideCertificate, objections } from './decide-certificate.js';
export type { CertificateDecision, CertificateRequest, DeviceFacts, EntitledNames } from './decide-certificate.js';
export { checkLabel } from './check-label.js';
export type { LabelFacts } from './check-label.js';
export { ANCHOR_REGISTRATIONS, anchorCertificates, checkTrustAnchors, IDENTITY_SOURCES } from './trust-anchors.js';
export type { AnchorRegistration, IdentitySource, TrustAnchors } from './trust-anchors.js';
export { manufacturerIdentity } from './manufacturer-identity.js';
export {
  audienceIncludes,
  decideKeyExpiry,
  decideRetirement,
  decideSuccessorExpiry,
  USABLE_KEYS,
} from './decide-key.js';
export type { KeyAudience } from './decide-key.js';
export { checkInvalidityDate, decideRevocation, REVOCATION_REASONS } from './decide-revocation.js';
export type { CurrentStatus, RevocationReason } from './decide-revocation.js';
export { ORGANIZATION_KINDS } from './organization-kind.js';
export type { OrganizationKind } from './organization-kind.js';
export { isRole, PERMISSIONS, permissionsOf, ROLES, rolesOf } from './permissions.js';
export type { Permission, Role } from './permissions.js';
export { renewalWindow } from './renewal-window.js';
export type { RenewalWindow } from './renewal-window.js';
