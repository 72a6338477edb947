import type { KeyObject } from 'node:crypto';
import { rowMac } from '#credential';
import type { LateRenewalRow, PendingEnrollmentRow, RenewalCallRow } from '#store';

/** Covers a request that waits, and what was decided about it: nobody with SQL alone approves one. */
export const pendingEnrollmentMac = (macKey: KeyObject, row: Omit<PendingEnrollmentRow, 'mac'>): Buffer =>
  rowMac(macKey, 'pending_enrollments', {
    id: row.id,
    deviceId: row.deviceId,
    requester: row.requester,
    requestLabel: row.requestLabel,
    request: row.request.toString('hex'),
    profile: row.profile,
    keyType: row.keyType,
    spkiSha256: row.spkiSha256.toString('hex'),
    names: JSON.stringify(row.names),
    csr: row.csr?.toString('base64') ?? '',
    address: row.address,
    requestedAt: row.requestedAt.toISOString(),
    state: row.state,
    expiresAt: row.expiresAt.toISOString(),
    decider: row.decider ?? '',
    deciderPerson: row.deciderPerson ?? '',
    reason: row.reason ?? '',
    serial: row.serial?.toString('hex') ?? '',
    ownerOrgId: row.ownerOrgId,
    issuerOrgId: row.issuerOrgId,
  });

export const lateRenewalMac = (macKey: KeyObject, row: Omit<LateRenewalRow, 'mac'>): Buffer =>
  rowMac(macKey, 'late_renewals', {
    id: row.id,
    deviceId: row.deviceId,
    grantedBy: row.grantedBy,
    grantedAt: row.grantedAt.toISOString(),
    expiresAt: row.expiresAt.toISOString(),
    ownerOrgId: row.ownerOrgId,
    issuerOrgId: row.issuerOrgId,
  });

export const renewalCallMac = (macKey: KeyObject, row: Omit<RenewalCallRow, 'mac'>): Buffer =>
  rowMac(macKey, 'renewal_calls', {
    id: row.id,
    kind: row.kind,
    subject: row.subject,
    calledBy: row.calledBy,
    calledAt: row.calledAt.toISOString(),
    reason: row.reason,
    ownerOrgId: row.ownerOrgId,
    issuerOrgId: row.issuerOrgId,
  });
