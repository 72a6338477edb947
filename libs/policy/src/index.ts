export { lintRules, profiles, validity } from './profile.js';
export type { Profile, ProfileName } from './profile.js';
export { CHANGEABLE_PROFILES, checkProfileSettings, validityBounds, withSettings } from './profile-settings.js';
export type { ChangeableProfile, ProfileSettings } from './profile-settings.js';
export { decideDevice } from './decide-device.js';
export type { DeviceDecision, DeviceFacts, DeviceRequest } from './decide-device.js';
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
