import { AuthorityError } from '#kernel';
import { countDevicesOfHolder, latestStatus } from '#store';
import { endNow, requireEndable } from '../names/disable-domain.js';
import { domainAudit } from '../names/prove-domain.js';
import type { Operation } from './operation.js';

/** Ends a domain under which many devices have names: how many is counted first, and again when it is done. */
export const disableManyUnderDomain: Operation<Readonly<{ domainId: string; reason: string; devices: number }>> = {
  name: 'domain.disable',
  permission: 'domain:change',
  subject: ({ domainId }) => `domain:${domainId}`,

  async check(tx, a, _actor, { domainId }) {
    await requireEndable(tx, a, domainId);
    if ((await latestStatus(tx, 'domain', domainId))?.status !== 'disabled') return;
    throw new AuthorityError('conflict', 'the domain is disabled already', { code: 'domainDisabled' });
  },

  async execute(tx, a, actor, { domainId, reason }, { approvalId, at }) {
    const row = await requireEndable(tx, a, domainId);
    const devices = await countDevicesOfHolder(tx, domainId);
    return {
      audits: [domainAudit(row, actor, 'domain.disabled', { reason, approvalId, devices })],
      changes: [await endNow(tx, row, reason, at)],
      result: { domainId, devices },
    };
  },
};
