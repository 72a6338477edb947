import { AuthorityError } from '#kernel';
import { isId, lockLogHead, type ApprovalRow, type Tx } from '#store';
import type { Actor, AuthorityContext } from '../context.js';
import { notFound } from '../registry.js';
import type { Operation } from './operation.js';
import { readProposal, type Proposal } from './proposal.js';
import { findOperation } from './registry.js';
import { hasOtherApprover, isPerson, mayNow } from './standing.js';

export type Person = Actor & { personId: string };

/** The row, or the one answer for an absent and a foreign one. */
export async function requireApproval(
  tx: Tx,
  actor: Actor,
  id: string,
  find: (tx: Tx, id: string) => Promise<ApprovalRow | undefined>,
): Promise<ApprovalRow> {
  const row = isId(id) ? await find(tx, id) : undefined;
  if (row === undefined || (!actor.authority && row.organizationId !== actor.organizationId))
    throw notFound('approval');
  return row;
}

export function requirePerson(a: AuthorityContext, actor: Actor): asserts actor is Person {
  if (isPerson(a, actor)) return;
  throw new AuthorityError('forbidden', 'a person decides this, not a machine token', {
    code: 'approverMustBePerson',
  });
}

/** Throws `conflict` for what is past its hour or was decided before. */
export function requireOpen(a: AuthorityContext, row: ApprovalRow): void {
  if (row.state === 'expired' || (row.state === 'proposed' && row.expiresAt <= a.clock.now())) {
    throw new AuthorityError('conflict', 'the proposal was not decided within its hour; propose it again', {
      code: 'approvalExpired',
    });
  }
  if (row.state !== 'proposed') {
    throw new AuthorityError('conflict', `the proposal is ${row.state} already`, { code: 'approvalDecided' });
  }
}

/**
 * Everything that stands against executing it now, but the operation's own check. `digest`: lower-case hex of what the
 * approver was shown. Answers whether it is one and the same person, in single-operator mode.
 */
export async function requireApprovable(
  tx: Tx,
  a: AuthorityContext,
  actor: Person,
  row: ApprovalRow,
  digest: string | undefined,
): Promise<{ proposal: Proposal; operation: Operation; singleOperator: boolean }> {
  requireOpen(a, row);
  const proposal = requireUnaltered(a, row, digest);
  const operation = findOperation(proposal.operation);
  if (operation === undefined) throw new AuthorityError('conflict', 'this release does not do this operation');
  const singleOperator = actor.personId === proposal.proposerPerson;
  if (singleOperator) await requireSingleOperator(tx, a, proposal);
  if (!(await mayNow(tx, a, actor, 'approval:decide'))) {
    throw new AuthorityError('forbidden', 'whoever approves this needs approval:decide just now');
  }
  const proposer = { ...proposal, id: proposal.proposer, personId: proposal.proposerPerson };
  if (!(await mayNow(tx, a, proposer, operation.permission))) {
    throw new AuthorityError('conflict', 'whoever proposed it may not do so any more', { code: 'proposerGone' });
  }
  return { proposal, operation, singleOperator };
}

function requireUnaltered(a: AuthorityContext, row: ApprovalRow, digest: string | undefined): Proposal {
  const proposal = readProposal(a, row);
  if (proposal !== undefined && (digest === undefined || digest === row.digest.toString('hex'))) return proposal;
  a.log.error({ approval: row.id }, 'ALARM: a proposal is not what was written, or not what its approver was shown');
  throw new AuthorityError('conflict', 'the proposal is not the one with this digest; nothing was done', {
    code: 'approvalAltered',
  });
}

async function requireSingleOperator(tx: Tx, a: AuthorityContext, proposal: Proposal): Promise<void> {
  if (!a.settings.singleOperator) {
    throw new AuthorityError('forbidden', 'whoever proposed it cannot approve it, with any role or token', {
      code: 'samePerson',
    });
  }
  // Nobody becomes an approver between this look and the commit.
  await a.follower.catchUp((await lockLogHead(tx)).seq);
  if (hasOtherApprover(a, proposal)) {
    throw new AuthorityError('forbidden', 'there is a second approver now: single-operator mode is over', {
      code: 'singleOperatorOver',
    });
  }
}
