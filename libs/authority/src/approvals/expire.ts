import { appendAudit } from '#audit';
import { expireApprovals } from '#store';
import { systemActor, type AuthorityContext } from '../context.js';

const BATCH = 500;

/** Marks proposals that nobody decided within their hour; they were of no use since then. Returns how many. */
export async function expireProposals(a: AuthorityContext): Promise<number> {
  const actor = systemActor(a, 'expiry');
  return a.database.transaction(async (tx) => {
    const at = a.clock.now();
    const ended = await expireApprovals(tx, at, BATCH);
    for (const { id, organizationId, operation, subject, proposer } of ended) {
      await appendAudit(tx, {
        at,
        actor: actor.id,
        action: 'approval.expired',
        subject: `approval:${id}`,
        outcome: 'success',
        requestId: actor.requestId,
        detail: { operation, subject, proposer },
        issuerOrgId: organizationId,
      });
    }
    return ended.length;
  });
}
