import { AuthorityError } from '#kernel';
import { countObtained } from '#store';
import { statusChange } from '../change-status.js';
import { checkFinalReason } from '../device-standing.js';
import { obtainedSubject } from '../follow-ra.js';
import { requireDevice } from '../register-device.js';
import type { Operation } from './operation.js';

/** `certificates`: how many there were when it was proposed, of the newest 100,000, for whoever approves it. */
export type ObtainedRevocation = Readonly<{ deviceId: string; since: string; reason: string; certificates: number }>;

/**
 * Revokes everything that a registration authority obtained for others since a time, until now: whoever had its key could have
 * vouched for a key of his own. The certificates follow in blocks, which the worker is told by the log (`followRa`).
 */
export const revokeObtained: Operation<ObtainedRevocation> = {
  name: 'ra.revokeObtained',
  permission: 'device:revoke',
  subject: ({ deviceId }) => `device:${deviceId}`,

  async check(tx, a, _actor, { deviceId, since, reason }) {
    checkFinalReason(reason);
    await requireDevice(tx, deviceId);
    if (new Date(since) <= a.clock.now()) return;
    throw new AuthorityError('invalid', 'since: it is still to come', { member: 'since' });
  },

  async execute(tx, _a, _actor, { deviceId, since, reason }, { approvalId, at }) {
    const device = await requireDevice(tx, deviceId);
    const from = new Date(since);
    const { certificates, revoked } = await countObtained(tx, { raId: deviceId, since: from, until: at }, at);
    const left = certificates - revoked;
    const subject = obtainedSubject(deviceId, approvalId);
    return {
      audits: [
        {
          action: 'ra.obtainedRevoked',
          subject: `device:${deviceId}`,
          ownerOrgId: device.ownerOrgId,
          issuerOrgId: device.issuerOrgId,
          detail: { reason, since, approvalId, certificates: left },
        },
      ],
      changes: [statusChange({ kind: 'ra', subject, status: 'revoked', reason, at, invalidityDate: from })],
      result: { deviceId, since, certificates: left },
    };
  },
};
