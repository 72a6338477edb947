import { canonicalJson, type AuditAction, type CanonicalValue } from '#audit';
import { AuthorityError, isAuthorityError } from '#kernel';
import {
  changedSince,
  decideApproval,
  findApproval,
  lockApproval,
  lockLogHead,
  type ApprovalRow,
  type Decision,
  type Tx,
} from '#store';
import { logStatus, type StatusAudit } from '../change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { auditRefusal } from '../refusal.js';
import { requireApprovable, requireApproval, requireOpen, requirePerson, type Person } from './decidable.js';
import type { Executed, SecretResult } from './operation.js';
import { catchUpWithLog, standingSubjects } from './standing.js';

/** An approval as it stands after it was executed. */
export interface Approved {
  row: ApprovalRow;
  result: Readonly<Record<string, CanonicalValue>>;
  /** Only the first time. */
  secretResult: SecretResult | undefined;
}

/**
 * Approves and executes, in one transaction. Everything is asked anew: who approves, whether it is still what was proposed,
 * in time and undecided, whether the proposer may still ask for it, and the operation's own check. The same approver again
 * gets the same result without its secrets. Every refusal is audited.
 */
export async function approve(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  request: { digest?: string | undefined },
): Promise<Approved> {
  return orAudited(a, actor, id, 'approval.executed', async () => {
    requirePerson(a, actor);
    await catchUpWithLog(a, actor);
    const begun = await a.database.transaction(
      async (tx) => {
        const row = await requireApproval(tx, actor, id, findApproval);
        const repeated = repetition(actor, row);
        return repeated ? { repeated } : await requireApprovable(tx, a, actor, row, request.digest);
      },
      scopeOf(a, actor),
    );
    if ('repeated' in begun) return begun.repeated;
    const { operation, proposal } = begun;
    const prepared = await operation.prepare?.(a, proposal.parameters);
    const done = await execute(a, actor, id, { digest: request.digest, prepared });
    await a.follower.catchUp(done.seq);
    if (done.executed) await operation.after?.(a, actor, proposal.parameters, done.executed);
    return done.approved;
  });
}

/** A retry by whom it was approved by is harmless; for everybody else it is decided. */
function repetition(actor: Person, row: ApprovalRow): Approved | undefined {
  if (row.state !== 'executed' || row.deciderPerson !== actor.personId || row.result === null) return undefined;
  const result = JSON.parse(row.result.toString('utf8')) as Approved['result'];
  return { row, result, secretResult: undefined };
}

async function execute(
  a: AuthorityContext,
  actor: Person,
  id: string,
  given: { digest: string | undefined; prepared: unknown },
): Promise<{ seq: number; approved: Approved; executed?: Executed }> {
  return a.database.transaction(
    async (tx) => {
      const row = await requireApproval(tx, actor, id, lockApproval);
      const repeated = repetition(actor, row);
      if (repeated) return { seq: 0, approved: repeated };
      const known = a.follower.index.seq;
      const { proposal, operation, singleOperator } = await requireApprovable(tx, a, actor, row, given.digest);
      await operation.check(tx, a, actor, proposal.parameters);
      const at = a.clock.now();
      const executed = await operation.execute(tx, a, actor, proposal.parameters, {
        approvalId: id,
        prepared: given.prepared,
        at,
      });
      const decided = await record(tx, actor, row, {
        state: 'executed',
        decidedAt: at,
        singleOperator,
        result: Buffer.from(canonicalJson(executed.result)),
      });
      // Nothing is written to the log any more but this: who lost the right meanwhile, by whatever process, does not decide.
      const { seq: head } = await lockLogHead(tx);
      if (await changedSince(tx, known, standingSubjects(proposal, actor))) {
        await a.follower.catchUp(head);
        await requireApprovable(tx, a, actor, row, given.digest);
      }
      const audits = [
        decisionAudit(row, actor, 'approval.executed'),
        ...(singleOperator ? [decisionAudit(row, actor, 'singleOperator.used')] : []),
        ...executed.audits,
      ];
      const seq = await logStatus(tx, a, actor, at, audits, executed.changes);
      const { result, secretResult } = executed;
      return { seq, executed, approved: { row: decided, result, secretResult } };
    },
    scopeOf(a, actor),
  );
}

/** Says no for good. Whoever may approve may reject, his own proposal too. */
export function reject(a: AuthorityContext, actor: Actor, id: string): Promise<ApprovalRow> {
  return orAudited(a, actor, id, 'approval.rejected', async () => {
    requirePerson(a, actor);
    return close(a, actor, id, 'rejected');
  });
}

/** Takes one's own proposal back, with whichever token one has. */
export function withdraw(a: AuthorityContext, actor: Actor, id: string): Promise<ApprovalRow> {
  return orAudited(a, actor, id, 'approval.withdrawn', async () => {
    const { personId } = actor;
    if (personId === undefined) throw new AuthorityError('forbidden', 'nobody answers for this token');
    return close(a, { ...actor, personId }, id, 'withdrawn', (row) => {
      if (row.proposerPerson === personId) return;
      throw new AuthorityError('forbidden', 'only whoever proposed it can withdraw it', { code: 'notProposer' });
    });
  });
}

async function close(
  a: AuthorityContext,
  actor: Person,
  id: string,
  state: 'rejected' | 'withdrawn',
  check: (row: ApprovalRow) => void = () => undefined,
): Promise<ApprovalRow> {
  return a.database.transaction(
    async (tx) => {
      const row = await requireApproval(tx, actor, id, lockApproval);
      check(row);
      if (row.state === state && row.deciderPerson === actor.personId) return row;
      requireOpen(a, row);
      const at = a.clock.now();
      const decided = await record(tx, actor, row, { state, decidedAt: at, singleOperator: false, result: null });
      await logStatus(tx, a, actor, at, [decisionAudit(row, actor, `approval.${state}`)], []);
      return decided;
    },
    scopeOf(a, actor),
  );
}

async function record(
  tx: Tx,
  actor: Person,
  row: ApprovalRow,
  outcome: Omit<Decision, 'decider' | 'deciderPerson'>,
): Promise<ApprovalRow> {
  const decision = { ...outcome, decider: actor.id, deciderPerson: actor.personId };
  if (!(await decideApproval(tx, row.id, decision))) throw new AuthorityError('conflict', 'it was decided just now');
  return { ...row, ...decision };
}

const decisionAudit = (row: ApprovalRow, actor: Person, action: AuditAction): StatusAudit => ({
  action,
  subject: `approval:${row.id}`,
  ownerOrgId: null,
  issuerOrgId: row.organizationId,
  detail: {
    operation: row.operation,
    subject: row.subject,
    digest: row.digest.toString('hex'),
    proposer: row.proposer,
    proposerPerson: row.proposerPerson,
    deciderPerson: actor.personId,
  },
});

async function orAudited<T>(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  action: AuditAction,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isAuthorityError(error, 'forbidden') || isAuthorityError(error, 'conflict')) {
      await auditRefusal(a, actor, { action, subject: `approval:${id}`, error, detail: { code: error.code } });
    }
    throw error;
  }
}
