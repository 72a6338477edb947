import { redactCredentials } from '#credential';
import { insertAudit, insertAudits, type NewAuditRow, type Tx } from '#store';
import { canonicalJson, type CanonicalValue } from './canonical.js';

/** The closed list of what can be done, or tried, here. */
export const AUDIT_ACTIONS = [
  'instance.created',
  'token.issued',
  'token.rotated',
  'token.revoked',
  'authentication.failed',
  'person.created',
  'person.invited',
  'person.removed',
  'person.signedIn',
  'person.signedOut',
  'role.granted',
  'role.withdrawn',
  'passkey.registered',
  'passkey.removed',
  'approval.proposed',
  'approval.executed',
  'approval.rejected',
  'approval.withdrawn',
  'approval.expired',
  'singleOperator.used',
  'organization.created',
  'app.created',
  'release.created',
  'group.created',
  'group.suspended',
  'group.resumed',
  'group.revoked',
  'ra.obtainedRevoked',
  'caKey.created',
  'secret.rotated',
  'signer.refused',
  'ca.created',
  'ca.requested',
  'ca.imported',
  'ca.crlImported',
  'ca.rolledOver',
  'ca.crossSigned',
  'ca.activated',
  'ca.revoked',
  'ca.expiring',
  'profile.changed',
  'profile.withdrawn',
  'blockedKeys.imported',
  'blockedKeys.revoked',
  'blockedKeys.altered',
  'label.changed',
  'label.withdrawn',
  'anchors.changed',
  'anchors.withdrawn',
  'anchors.crlStored',
  'ocspDelegate.created',
  'ocspDelegate.expiring',
  'serverCertificate.renewed',
  'device.registered',
  'device.changed',
  'device.suspended',
  'device.resumed',
  'device.revoked',
  'device.reset',
  'device.identityAdded',
  'device.identityRemoved',
  'device.reenrollmentGranted',
  'transportKey.registered',
  'transportKey.removed',
  'domain.claimed',
  'domain.verified',
  'domain.lapsed',
  'domain.disabled',
  'domain.enabled',
  'user.created',
  'user.disabled',
  'user.enabled',
  'enrollment.pending',
  'enrollment.approved',
  'enrollment.rejected',
  'enrollment.expired',
  'enrollment.withdrawn',
  'device.lateRenewalAllowed',
  'device.lateRenewalUsed',
  'renewal.called',
  'certificate.requested',
  'certificate.issued',
  'certificate.abandoned',
  'certificate.revoked',
  'certificate.held',
  'certificate.released',
  'certificate.expired',
  'certificate.expiring',
  'certificate.renewed',
  'certificate.renewalOverdue',
  'certificate.badKey',
  'key.issued',
  'key.rotated',
  'key.suspended',
  'key.resumed',
  'key.revoked',
  'key.expired',
  'key.expiring',
  'key.leaked',
  'key.exposed',
  'crl.published',
  'webhook.created',
  'webhook.changed',
  'webhook.rotated',
  'webhook.tested',
  'webhook.removed',
  'webhook.disabled',
  'mailSubscription.created',
  'mailSubscription.changed',
  'mailSubscription.removed',
  'delivery.replayed',
  'quota.changed',
  'quota.exceeded',
  'canary.passed',
  'canary.failed',
] as const;

export type AuditAction = (typeof AUDIT_ACTIONS)[number];

export interface AuditEntry {
  at: Date;
  /** `person:<id>`, `operator:<token id>`, `device:<id>`, `ra:<device id>`, `system:<plane>` or `anonymous:<address>`. */
  actor: string;
  action: AuditAction;
  /** `<kind>:<id>` of what it was done to. */
  subject: string;
  outcome: 'success' | 'refused' | 'failed';
  requestId: string;
  /** What else a reader needs to understand it. Never a secret, never a whole request. */
  detail?: Readonly<Record<string, CanonicalValue | undefined>>;
  ownerOrgId?: string | null;
  issuerOrgId?: string | null;
}

/** Writes the entry in the transaction of the change: if this fails, so does the change. */
export async function appendAudit(tx: Tx, entry: AuditEntry): Promise<void> {
  await insertAudit(tx, auditRow(entry));
}

/** The same for many, in one statement. */
export async function appendAudits(tx: Tx, entries: readonly AuditEntry[]): Promise<void> {
  if (entries.length > 0) await insertAudits(tx, entries.map(auditRow));
}

/**
 * The entry as a row, for store functions that write it in the statement of the change itself. What is written here stays
 * for ever: whatever looks like a credential of ours is redacted, wherever it came from.
 */
export function auditRow(entry: AuditEntry): NewAuditRow {
  return {
    at: entry.at,
    actor: redactCredentials(entry.actor),
    action: entry.action,
    subject: redactCredentials(entry.subject),
    outcome: entry.outcome,
    requestId: redactCredentials(entry.requestId),
    canonical: Buffer.from(redactCredentials(canonicalAudit(entry))),
    ownerOrgId: entry.ownerOrgId ?? null,
    issuerOrgId: entry.issuerOrgId ?? null,
  };
}

/** The bytes that stand for the entry, in the log and later in the tree. */
export function canonicalAudit(entry: AuditEntry): string {
  return canonicalJson({
    v: 1,
    at: entry.at.toISOString(),
    actor: entry.actor,
    action: entry.action,
    subject: entry.subject,
    outcome: entry.outcome,
    requestId: entry.requestId,
    detail: entry.detail ?? {},
    ownerOrgId: entry.ownerOrgId ?? null,
    issuerOrgId: entry.issuerOrgId ?? null,
  });
}
