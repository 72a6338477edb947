import type { OperationName } from '#store';
import { activateIssuer } from './activate-issuer.js';
import { changeAnchors, withdrawAnchors } from './change-anchors.js';
import { changeLabel, withdrawLabel } from './change-label.js';
import { changeProfile } from './change-profile.js';
import { createIssuer } from './create-issuer.js';
import { crossSign } from './cross-sign.js';
import { disableManyUnderDomain } from './disable-domain.js';
import { grantDomain } from './grant-domain.js';
import { grantRoles } from './grant-roles.js';
import { reinvitePerson } from './invite-person.js';
import type { Operation } from './operation.js';
import { reenrollDevice } from './reenroll-device.js';
import { revokeBlockedKeys } from './revoke-blocked-keys.js';
import { revokeGroup } from './revoke-group.js';
import { revokeIssuer } from './revoke-issuer.js';
import { revokeLink } from './revoke-link.js';
import { revokeObtained } from './revoke-obtained.js';
import { importIssuer } from './import-issuer.js';
import { rolloverIssuer } from './rollover-issuer.js';
import { withdrawProfile } from './withdraw-profile.js';

/** Every operation that can be proposed. */
const OPERATIONS: Readonly<Record<OperationName, Operation>> = {
  'device.reenroll': reenrollDevice,
  'group.revoke': revokeGroup,
  'ra.revokeObtained': revokeObtained,
  'ca.create': createIssuer,
  'ca.activate': activateIssuer,
  'ca.revoke': revokeIssuer,
  'ca.revokeLink': revokeLink,
  'ca.rollover': rolloverIssuer,
  'ca.crossSign': crossSign,
  'ca.import': importIssuer,
  'profile.change': changeProfile,
  'profile.withdraw': withdrawProfile,
  'role.grant': grantRoles,
  'person.invite': reinvitePerson,
  'blockedkey.revoke': revokeBlockedKeys,
  'domain.grant': grantDomain,
  'domain.disable': disableManyUnderDomain,
  'label.change': changeLabel,
  'label.withdraw': withdrawLabel,
  'anchors.change': changeAnchors,
  'anchors.withdraw': withdrawAnchors,
};

/** undefined: this release does not know how to do it, whatever a row says. */
export function findOperation(name: OperationName): Operation | undefined {
  return Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined;
}
