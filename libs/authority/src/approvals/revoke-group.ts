import { AuthorityError } from '#kernel';
import { countGroupMembers, setGroupStatus } from '#store';
import { statusChange } from '../change-status.js';
import { checkFinalReason } from '../device-standing.js';
import { groupStanding, requireGroup } from '../group-standing.js';
import type { Operation } from './operation.js';

/**
 * Revokes a group for good: nobody of it enrolls or renews from the commit on. Its devices, with their certificates, follow
 * in blocks, which the worker is told by the log (`followGroup`).
 */
export const revokeGroup: Operation<Readonly<{ groupId: string; reason: string }>> = {
  name: 'group.revoke',
  permission: 'group:revoke',
  subject: ({ groupId }) => `group:${groupId}`,

  async check(tx, a, _actor, { groupId, reason }) {
    checkFinalReason(reason);
    await requireGroup(tx, groupId);
    if ((await groupStanding(tx, a, groupId))?.status === 'revoked') {
      throw new AuthorityError('conflict', 'the group is revoked already', { code: 'groupRevoked' });
    }
  },

  async execute(tx, _a, _actor, { groupId, reason }, { approvalId, at }) {
    const group = await requireGroup(tx, groupId);
    await setGroupStatus(tx, groupId, [group.status], 'revoked');
    const members = await countGroupMembers(tx, groupId);
    return {
      audits: [
        {
          action: 'group.revoked',
          subject: `group:${groupId}`,
          ownerOrgId: group.ownerOrgId,
          issuerOrgId: group.issuerOrgId,
          detail: { reason, approvalId, members },
        },
      ],
      changes: [statusChange({ kind: 'group', subject: groupId, status: 'revoked', reason, at })],
      result: { groupId, members },
    };
  },
};
