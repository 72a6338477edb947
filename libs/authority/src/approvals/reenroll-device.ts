import { AuthorityError } from '#kernel';
import { latestStatus, setDeviceStatus, withdrawEnrollmentSecrets, type Device, type Tx } from '#store';
import { statusChange } from '../change-status.js';
import type { AuthorityContext } from '../context.js';
import { makeSecret, requireDevice } from '../register-device.js';
import type { Operation } from './operation.js';

/** A revoked device may enroll once more. What was revoked with it stays revoked. */
export const reenrollDevice: Operation<Readonly<{ deviceId: string }>> = {
  name: 'device.reenroll',
  permission: 'device:reset',
  subject: ({ deviceId }) => `device:${deviceId}`,

  async check(tx, a, _actor, { deviceId }) {
    await requireRevoked(tx, a, await requireDevice(tx, deviceId));
  },

  async execute(tx, a, _actor, { deviceId }, { approvalId, at }) {
    const device = await requireDevice(tx, deviceId);
    await setDeviceStatus(tx, deviceId, [device.status], 'registered');
    const withdrawnSecrets = await withdrawEnrollmentSecrets(tx, deviceId);
    const { username, secret, expiresAt } = await makeSecret(tx, a, device);
    return {
      audits: [
        {
          action: 'device.reenrollmentGranted',
          subject: `device:${deviceId}`,
          ownerOrgId: device.ownerOrgId,
          issuerOrgId: device.issuerOrgId,
          detail: { approvalId, withdrawnSecrets },
        },
      ],
      changes: [
        statusChange({
          kind: 'device',
          subject: deviceId,
          status: 'registered',
          reason: `reenrollment:${approvalId}`,
          at,
        }),
      ],
      result: { deviceId },
      secretResult: { enrollment: { username, secret, expiresAt: expiresAt.toISOString() } },
    };
  },
};

/** By the log alone: what a row says may have been written by anybody with SQL access. */
async function requireRevoked(tx: Tx, a: AuthorityContext, device: Device): Promise<void> {
  const latest = await latestStatus(tx, 'device', device.id);
  if (latest?.status !== 'revoked' || a.follower.index.device(device.id)?.status !== 'revoked') {
    throw new AuthorityError('conflict', 'the device is not revoked; a reset is enough', { code: 'deviceNotRevoked' });
  }
  if (device.groupId !== null && a.follower.index.group(device.groupId)?.status === 'revoked') {
    throw new AuthorityError('conflict', 'the group of the device is revoked; move it to another one first', {
      code: 'groupRevoked',
    });
  }
}
