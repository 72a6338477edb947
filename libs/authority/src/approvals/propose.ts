import { appendAudit, type CanonicalValue } from '#audit';
import { addSeconds, AuthorityError } from '#kernel';
import { approvalRowMac } from '#status';
import { insertApproval, newId, type OperationName } from '#store';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { requireRoomFor } from '../holdings.js';
import { digestOf, encodeProposal, type Proposal } from './proposal.js';
import { findOperation } from './registry.js';
import { mayNow } from './standing.js';

/** What the proposer is told: nothing has been done yet. */
export interface Proposed {
  approvalId: string;
  /** SHA-256 of the proposal, lower-case hex: what the approver approves. */
  digest: string;
  expiresAt: Date;
}

/** Within an hour or never: what was looked at must still be what is there. */
const LIFE_SECONDS = 3600;

/**
 * Records that somebody wants `operation` done and does nothing else. Throws what the operation's own check throws, and
 * `forbidden` for whom nobody answers or who may not ask for it.
 */
export async function propose(
  a: AuthorityContext,
  actor: Actor,
  name: OperationName,
  parameters: CanonicalValue,
): Promise<Proposed> {
  const operation = findOperation(name);
  if (operation === undefined) throw new AuthorityError('internal', `no operation ${name}`);
  const { personId } = actor;
  if (personId === undefined) throw new AuthorityError('forbidden', 'nobody answers for this token');
  return a.database.transaction(
    async (tx) => {
      if (!(await mayNow(tx, a, { ...actor, personId }, operation.permission))) {
        throw new AuthorityError('forbidden', `whoever proposes this needs ${operation.permission} just now`);
      }
      await requireRoomFor(tx, actor.organizationId, 'proposals');
      await operation.check(tx, a, actor, parameters);
      const proposedAt = a.clock.now();
      const proposal: Proposal = {
        id: newId(a.clock),
        organizationId: actor.organizationId,
        operation: name,
        subject: operation.subject(parameters),
        proposer: actor.id,
        proposerPerson: personId,
        proposedAt,
        expiresAt: addSeconds(proposedAt, LIFE_SECONDS),
        parameters,
      };
      const bytes = encodeProposal(proposal);
      const row = { ...proposal, proposal: bytes };
      await insertApproval(tx, { ...row, mac: approvalRowMac(a.macKey, row) });
      const digest = digestOf(bytes).toString('hex');
      await appendAudit(tx, {
        at: proposedAt,
        actor: actor.id,
        action: 'approval.proposed',
        subject: `approval:${proposal.id}`,
        outcome: 'success',
        requestId: actor.requestId,
        detail: { operation: name, subject: proposal.subject, digest, proposerPerson: personId },
        issuerOrgId: proposal.organizationId,
      });
      return { approvalId: proposal.id, digest, expiresAt: proposal.expiresAt };
    },
    scopeOf(a, actor),
  );
}
