export { ekuOf, keyUsageOf, lintRules, NAME_TYPES, validity } from './profile.js';
export type { NameRule, NameType, Profile, Supersede } from './profile.js';
export { profiles, SHIPPED_PROFILES } from './shipped-profiles.js';
export type { ShippedProfile } from './shipped-profiles.js';
export { AUTHENTICATION_METHODS, DEFAULT_LABEL, OPTIONAL_OPERATIONS, overEst, shippedLabel } from './est-label.js';
export type { AuthenticationMethod, EstLabel, OptionalOperation } from './est-label.js';
export { checkLabel } from './check-label.js';
export type { LabelFacts } from './check-label.js';
export { ANCHOR_REGISTRATIONS, anchorCertificates, checkTrustAnchors, IDENTITY_SOURCES } from './trust-anchors.js';
export type { AnchorRegistration, IdentitySource, TrustAnchors } from './trust-anchors.js';
export { manufacturerIdentity } from './manufacturer-identity.js';
export { CHANGEABLE_PROFILES, checkProfileSettings, validityBounds, withSettings } from './profile-settings.js';
export type { ChangeableProfile, ProfileSettings } from './profile-settings.js';
export { decideDevice } from './decide-device.js';
export type { DeviceFacts, DeviceRequest, EntitledNames } from './decide-device.js';
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
