import type { AuditAction } from '#audit';
import { AuthorityError } from '#kernel';
import { REVOCATION_REASONS } from '#policy';
import {
  blockKey,
  latestStatus,
  latestStatuses,
  lockUnexpiredOfDevices,
  setDeviceStatus,
  withdrawEnrollmentSecrets,
  type CertificateRow,
  type Device,
  type StatusChange,
  type StatusRow,
} from '#store';
import { certificateAudit, release, revocation } from './certificates.js';
import { logStatus, receipt, statusChange, type Receipt, type StatusAudit } from './change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { withdrawPending } from './enrollment/close-pending.js';
import { requireDevice } from './register-device.js';
import { obtainedWith } from './revoke-obtained.js';

/** Ends EST access at once and holds every certificate of the device. */
export const suspendDevice = (a: AuthorityContext, actor: Actor, id: string): Promise<Receipt> =>
  changeStanding(a, actor, id, {
    action: 'device.suspended',
    from: ['registered', 'enrolled'],
    status: () => 'suspended',
    reason: null,
    certificates: (row, latest, at) =>
      latest?.status === 'revoked' || latest?.status === 'onHold'
        ? undefined
        : revocation(row, latest, { status: 'onHold', reason: 'certificateHold', at, invalidityDate: null }),
  });

/**
 * Lifts the suspension and the holds that it made; certificates held for themselves stay on hold. While the group of the
 * device is suspended, the holds become that suspension's.
 */
export const resumeDevice = (a: AuthorityContext, actor: Actor, id: string): Promise<Receipt> =>
  changeStanding(a, actor, id, {
    action: 'device.resumed',
    from: ['suspended'],
    status: (certificates) => (certificates.length > 0 ? 'enrolled' : 'registered'),
    reason: null,
    certificates: (row, latest, at, { device, group }) => {
      if (latest?.status !== 'onHold' || latest.at.getTime() !== device?.at.getTime()) return undefined;
      return group?.status === 'suspended' ? groupHold(row, latest, group.at) : release(row, at);
    },
  });

/** A hold with the time of the group's suspension, by which its end knows it. */
export const groupHold = (row: CertificateRow, latest: StatusRow | undefined, suspendedAt: Date): StatusChange =>
  revocation(row, latest, {
    status: 'onHold',
    reason: 'certificateHold',
    at: suspendedAt,
    invalidityDate: null,
  });

/** Final: the device, every certificate of it and its unused secrets, in one transaction. */
export function revokeDevice(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  request: { reason: string },
): Promise<Receipt> {
  checkFinalReason(request.reason);
  return changeStanding(a, actor, id, {
    action: 'device.revoked',
    from: ['registered', 'enrolled', 'suspended'],
    status: () => 'revoked',
    reason: request.reason,
    certificates: (row, latest, at) =>
      latest?.status === 'revoked'
        ? undefined
        : revocation(row, latest, { status: 'revoked', reason: request.reason, at, invalidityDate: null }),
  });
}

/** Throws `invalid` for what is no reason to revoke for good. */
export function checkFinalReason(reason: string): void {
  if ((REVOCATION_REASONS as readonly string[]).includes(reason) && reason !== 'certificateHold') return;
  throw new AuthorityError('invalid', 'reason: one of the RFC 5280 names; to pause a device use suspend', {
    member: 'reason',
  });
}

/** As shown: the status log before the row. */
export function deviceStatus(a: Pick<AuthorityContext, 'follower'>, row: Device): Device['status'] {
  const entry = a.follower.index.device(row.id);
  if (entry?.status === 'revoked' || entry?.status === 'suspended') return entry.status;
  return row.status === 'revoked' || row.status === 'suspended' ? 'registered' : row.status;
}

/**
 * Suspended or revoked by the log alone: the row may have been written by anybody with SQL access, and a decision that
 * rested on it would be signed into the log. What memory holds as revoked stays so.
 */
function standingNow(
  a: Pick<AuthorityContext, 'follower'>,
  device: Device,
  latest: StatusRow | undefined,
): Device['status'] {
  if (latest?.status === 'revoked' || a.follower.index.device(device.id)?.status === 'revoked') return 'revoked';
  if (latest?.status === 'suspended') return 'suspended';
  return device.status === 'enrolled' ? 'enrolled' : 'registered';
}

interface Standing {
  action: AuditAction;
  from: readonly Device['status'][];
  status: (certificates: readonly CertificateRow[]) => Device['status'];
  reason: string | null;
  /** What follows for one certificate; undefined for none. */
  certificates: (
    row: CertificateRow,
    latest: StatusRow | undefined,
    at: Date,
    over: { device: StatusRow | undefined; group: StatusRow | undefined },
  ) => StatusChange | undefined;
}

async function changeStanding(a: AuthorityContext, actor: Actor, id: string, standing: Standing): Promise<Receipt> {
  const result = await a.database.transaction(
    async (tx) => {
      const device = await requireDevice(tx, id);
      const latest = await latestStatus(tx, 'device', id);
      const group = device.groupId === null ? undefined : await latestStatus(tx, 'group', device.groupId);
      const at = a.clock.now();
      const certificates = await lockUnexpiredOfDevices(tx, [id], at);
      const status = standing.status(certificates);
      const current = standingNow(a, device, latest);
      if (current === status && latest && status !== 'enrolled' && status !== 'registered') {
        return { status, seq: latest.seq, at: latest.at, certificates };
      }
      if (!standing.from.includes(current)) {
        throw new AuthorityError(
          'conflict',
          `the device is ${current}; this needs it to be ${standing.from.join(' or ')}`,
        );
      }
      await setDeviceStatus(tx, id, [device.status], status);
      if (status === 'revoked') await withdrawEnrollmentSecrets(tx, id);
      const changes: StatusChange[] = [];
      const audits: StatusAudit[] = [deviceAudit(device, standing)];
      if (status === 'revoked' || status === 'suspended') audits.push(...(await withdrawPending(tx, a, id)));
      const before = await latestStatuses(tx, 'certificate', certificates.map(serialOf));
      for (const row of certificates) {
        // No other device may carry the key either.
        if (standing.reason === 'keyCompromise')
          await blockKey(tx, row.spkiSha256, 'keyCompromise', { actor: actor.id });
        const change = standing.certificates(row, before.get(serialOf(row)), at, { device: latest, group });
        if (!change) continue;
        changes.push(change);
        audits.push(
          certificateAudit(row, CERTIFICATE_ACTION[change.status] ?? 'certificate.revoked', { reason: change.reason }),
        );
      }
      changes.push(statusChange({ kind: 'device', subject: id, status, reason: standing.reason, at }));
      return { status, seq: await logStatus(tx, a, actor, at, audits, changes), at, certificates };
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(result.seq);
  const { status, seq, at, certificates } = result;
  const obtained = standing.reason === 'keyCompromise' ? await obtainedWith(a, actor, certificates) : undefined;
  return { ...receipt('device', id, status, seq, at, certificates), ...(obtained && { obtained }) };
}

export const serialOf = (row: CertificateRow): string => row.serial.toString('hex');

export const CERTIFICATE_ACTION: Readonly<Record<string, AuditAction>> = {
  revoked: 'certificate.revoked',
  onHold: 'certificate.held',
  active: 'certificate.released',
};

const deviceAudit = (device: Device, standing: Standing): StatusAudit => ({
  action: standing.action,
  subject: `device:${device.id}`,
  ownerOrgId: device.ownerOrgId,
  issuerOrgId: device.issuerOrgId,
  detail: { reason: standing.reason },
});
