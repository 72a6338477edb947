import { appendAudit } from '#audit';
import { pendingEnrollmentMac } from '#status';
import {
  closePendingEnrollment,
  endPendingEnrollment,
  lockLapsedEnrollments,
  lockOpenOfDevice,
  lockOpenOfDevices,
  unbindFreeSecret,
  type PendingEnrollmentRow,
  type Tx,
} from '#store';
import type { StatusAudit } from '../change-status.js';
import { systemActor, type AuthorityContext } from '../context.js';
import { pendingAudit } from './await-approval.js';

const BATCH = 500;

/** Ends what nobody decided in time, or nobody fetched. Returns how many; run twice it finds nothing. */
export async function expirePendingEnrollments(a: AuthorityContext): Promise<number> {
  const actor = systemActor(a, 'expiry');
  return a.database.transaction(async (tx) => {
    const at = a.clock.now();
    const lapsed = await lockLapsedEnrollments(tx, at, BATCH);
    for (const row of lapsed) {
      await close(tx, a, row, 'expired', at);
      const secretId = /^secret:(.+)$/.exec(row.requester)?.[1];
      if (secretId !== undefined) await unbindFreeSecret(tx, secretId);
      await appendAudit(tx, {
        at,
        actor: actor.id,
        action: 'enrollment.expired',
        outcome: 'success',
        requestId: actor.requestId,
        ...pendingAudit(row),
      });
    }
    return lapsed.length;
  });
}

/** Of a device that may not enroll any more, or begins anew: with the device locked. Answers the audit entries. */
export async function withdrawPending(
  tx: Tx,
  a: Pick<AuthorityContext, 'macKey' | 'clock'>,
  deviceId: string,
): Promise<StatusAudit[]> {
  const open = await lockOpenOfDevice(tx, deviceId);
  for (const row of open) await close(tx, a, row, 'withdrawn', a.clock.now());
  return open.map((row) => ({ action: 'enrollment.withdrawn', ...pendingAudit(row) }));
}

/**
 * Of devices whose group may not enroll any more, locked: what waits for somebody is rejected and its device told why, what was
 * approved and not fetched is withdrawn. Answers the audit entries.
 */
export async function rejectPendingOfGroup(
  tx: Tx,
  a: Pick<AuthorityContext, 'macKey'>,
  deviceIds: readonly string[],
  { status, decider, at }: { status: 'suspended' | 'revoked'; decider: string; at: Date },
): Promise<StatusAudit[]> {
  const audits: StatusAudit[] = [];
  for (const row of await lockOpenOfDevices(tx, deviceIds)) {
    const waits = row.state === 'pending';
    const ended: PendingEnrollmentRow = {
      ...row,
      state: waits ? 'rejected' : 'withdrawn',
      reason: `the group of the device is ${status}`,
      decider: waits ? decider : row.decider,
      decidedAt: at,
    };
    await endPendingEnrollment(tx, { ...ended, mac: pendingEnrollmentMac(a.macKey, ended) });
    audits.push({ action: waits ? 'enrollment.rejected' : 'enrollment.withdrawn', ...pendingAudit(ended) });
  }
  return audits;
}

/** Whatever the row says: closed, it is nothing that anybody could use. */
async function close(
  tx: Tx,
  a: Pick<AuthorityContext, 'macKey'>,
  row: PendingEnrollmentRow,
  state: 'expired' | 'withdrawn',
  decidedAt: Date,
): Promise<void> {
  const closed = { ...row, state, decidedAt };
  await closePendingEnrollment(tx, { ...closed, mac: pendingEnrollmentMac(a.macKey, closed) });
}
