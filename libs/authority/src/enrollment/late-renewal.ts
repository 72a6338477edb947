import { appendAudit } from '#audit';
import { addSeconds, AuthorityError } from '#kernel';
import { checkRowMac, lateRenewalMac } from '#status';
import {
  findUnusedLateRenewals,
  insertLateRenewal,
  latestStatus,
  newId,
  spendLateRenewal,
  type LateRenewalRow,
  type Tx,
} from '#store';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { currentProfile } from '../current-profile.js';
import { requireDevice } from '../register-device.js';
import { expired, type DeviceCertificate } from './authenticate/own-certificate.js';

export const LATE_RENEWAL_DAYS = 30;

/** Days, 1 to `LATE_RENEWAL_DAYS`, for one renewal of this device, however long ago its certificate ended. */
export async function allowLateRenewal(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  { days }: { days: number },
): Promise<{ deviceId: string; expiresAt: Date }> {
  if (!Number.isInteger(days) || days < 1 || days > LATE_RENEWAL_DAYS) {
    throw new AuthorityError('invalid', `days: from 1 to ${LATE_RENEWAL_DAYS}`, { member: 'days' });
  }
  return a.database.transaction(
    async (tx) => {
      const device = await requireDevice(tx, id);
      const standing = (await latestStatus(tx, 'device', id))?.status;
      if (standing === 'revoked' || a.follower.index.device(id)?.status === 'revoked') {
        throw new AuthorityError('conflict', 'the device is revoked; a revoked device does not renew', {
          code: 'deviceRevoked',
        });
      }
      const { ownerOrgId, issuerOrgId } = device;
      const at = a.clock.now();
      const expiresAt = addSeconds(at, days * 86_400);
      const row = {
        ...{ id: newId(a.clock), deviceId: id, grantedBy: actor.id, grantedAt: at, expiresAt },
        ...{ ownerOrgId, issuerOrgId },
      };
      await insertLateRenewal(tx, { ...row, mac: lateRenewalMac(a.macKey, row) });
      await appendAudit(tx, {
        ...{ at, actor: actor.id, action: 'device.lateRenewalAllowed', subject: `device:${id}`, outcome: 'success' },
        ...{ requestId: actor.requestId, detail: { expiresAt: expiresAt.toISOString() }, ownerOrgId, issuerOrgId },
      });
      return { deviceId: id, expiresAt };
    },
    scopeOf(a, actor),
  );
}

/**
 * What lets a certificate that has ended be renewed with: the profile, for a while, or the device's own leave, which is
 * answered and is to be used. undefined: nothing more is needed. Throws `forbidden`. With the device locked, and its
 * standing asked.
 */
export async function requireLateRenewal(
  tx: Tx,
  a: AuthorityContext,
  profile: string,
  { deviceId, certificate }: DeviceCertificate,
): Promise<LateRenewalRow | undefined> {
  const now = a.clock.now();
  if (certificate.notAfter >= now) return undefined;
  const { afterExpirySeconds } = currentProfile(a, profile).renewal;
  if (addSeconds(certificate.notAfter, afterExpirySeconds) >= now) return undefined;
  const [leave] = await findUnusedLateRenewals(tx, deviceId, now);
  if (!leave) throw expired();
  checkRowMac(leave.mac, lateRenewalMac(a.macKey, leave), `late renewal ${leave.id}`);
  return leave;
}

export async function useLateRenewal(
  tx: Tx,
  a: Pick<AuthorityContext, 'clock'>,
  actor: Actor,
  { id, deviceId, grantedBy, ownerOrgId, issuerOrgId }: LateRenewalRow,
  serial: Buffer,
): Promise<void> {
  await spendLateRenewal(tx, id, serial);
  await appendAudit(tx, {
    at: a.clock.now(),
    actor: actor.id,
    action: 'device.lateRenewalUsed',
    subject: `device:${deviceId}`,
    outcome: 'success',
    requestId: actor.requestId,
    detail: { serial: serial.toString('hex'), grantedBy },
    ownerOrgId,
    issuerOrgId,
  });
}
