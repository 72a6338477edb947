import { createHash, timingSafeEqual } from 'node:crypto';
import { canonicalJson, type AuditAction } from '#audit';
import { addSeconds, AuthorityError, isAuthorityError } from '#kernel';
import { pendingEnrollmentMac } from '#status';
import {
  decidePendingEnrollment,
  findDevice,
  isId,
  lockPendingEnrollment,
  readStanding,
  type PendingEnrollmentRow,
  type Tx,
} from '#store';
import { requirePerson, type Person } from '../approvals/decidable.js';
import { catchUpWithLog, mayNow } from '../approvals/standing.js';
import { logStatus } from '../change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { notFound } from '../registry.js';
import { auditRefusal } from '../refusal.js';
import { pendingAudit } from './await-approval.js';
import { checkStanding, isServerKeyIntent } from './prepare-enrollment.js';

/** What whoever decides looks at, and what stands for it. */
export function pendingFacts(row: PendingEnrollmentRow): { facts: Record<string, string | string[]>; digest: string } {
  const facts = {
    deviceId: row.deviceId,
    profile: row.profile,
    label: row.requestLabel,
    requester: row.requester,
    names: row.names,
    keyType: row.keyType,
    // Empty: it is made here when the device comes again.
    spkiSha256: isServerKeyIntent(row) ? '' : row.spkiSha256.toString('hex'),
    address: row.address,
    csr: row.csr?.toString('base64') ?? '',
  };
  const bytes = canonicalJson({ id: row.id, requestedAt: row.requestedAt.toISOString(), ...facts });
  return { facts, digest: createHash('sha256').update(bytes).digest('hex') };
}

/** False for a row that somebody without the key wrote or changed: it is shown as nothing, and never decided. */
export function isOurs(a: Pick<AuthorityContext, 'macKey'>, row: PendingEnrollmentRow): boolean {
  const mac = pendingEnrollmentMac(a.macKey, row);
  return row.mac.length === mac.length && timingSafeEqual(row.mac, mac);
}

/**
 * One person of the organization that vouches for the device lets it enroll: the same request gets its certificate when it
 * is sent again, by the same policy, within as long as it might have waited. Again by the same person: the same answer.
 */
export const approvePending = (
  a: AuthorityContext,
  actor: Actor,
  id: string,
  request: { digest?: string | undefined },
): Promise<PendingEnrollmentRow> =>
  decide(a, actor, id, {
    action: 'enrollment.approved',
    state: 'approved',
    reason: null,
    check: async (tx, row) => {
      if (request.digest !== undefined && request.digest !== pendingFacts(row).digest) throw altered();
      const device = await findDevice(tx, row.deviceId);
      if (!device) throw notFound('approval');
      try {
        checkStanding(a, device, await readStanding(tx, device, row.spkiSha256));
      } catch (error) {
        if (!isAuthorityError(error, 'forbidden')) throw error;
        throw new AuthorityError('conflict', error.detail, { code: error.code });
      }
    },
  });

/** For good: the device is told the reason, until its request would have lapsed or it gets a new secret. */
export const rejectPending = (
  a: AuthorityContext,
  actor: Actor,
  id: string,
  request: { reason?: string | undefined },
): Promise<PendingEnrollmentRow> =>
  decide(a, actor, id, {
    action: 'enrollment.rejected',
    state: 'rejected',
    reason: request.reason ?? null,
    check: () => Promise.resolve(),
  });

interface PendingDecision {
  action: AuditAction;
  state: 'approved' | 'rejected';
  reason: string | null;
  check: (tx: Tx, row: PendingEnrollmentRow) => Promise<void>;
}

async function decide(
  a: AuthorityContext,
  actor: Actor,
  id: string,
  decision: PendingDecision,
): Promise<PendingEnrollmentRow> {
  try {
    requirePerson(a, actor);
    await catchUpWithLog(a, actor);
    return await a.database.transaction((tx) => decideIn(tx, a, actor, id, decision), scopeOf(a, actor));
  } catch (error) {
    if (isAuthorityError(error, 'forbidden') || isAuthorityError(error, 'conflict')) {
      const { action } = decision;
      await auditRefusal(a, actor, { action, subject: `enrollment:${id}`, error, detail: { code: error.code } });
    }
    throw error;
  }
}

async function decideIn(
  tx: Tx,
  a: AuthorityContext,
  actor: Person,
  id: string,
  { action, state, reason, check }: PendingDecision,
): Promise<PendingEnrollmentRow> {
  const row = isId(id) ? await lockPendingEnrollment(tx, id) : undefined;
  if (!row) throw notFound('approval');
  if (!actor.authority && row.issuerOrgId !== actor.organizationId) {
    throw new AuthorityError('forbidden', 'the organization that vouches for the device decides about it');
  }
  if (!(await mayNow(tx, a, actor, 'approval:decide'))) {
    throw new AuthorityError('forbidden', 'whoever decides this needs approval:decide just now');
  }
  if (state === 'approved' && row.requester === `account:${actor.personId}` && !a.settings.singleOperator) {
    throw new AuthorityError('forbidden', 'whoever asked for it by an account cannot approve it', {
      code: 'samePerson',
    });
  }
  if (!isOurs(a, row)) {
    a.log.error({ enrollment: row.id }, 'ALARM: a pending enrollment that this authority did not write');
    throw altered();
  }
  const same = row.state === state || (state === 'approved' && row.state === 'done');
  if (same && row.deciderPerson === actor.personId) return row;
  const at = a.clock.now();
  if (row.state === 'expired' || (row.state === 'pending' && row.expiresAt <= at)) {
    throw new AuthorityError('conflict', 'nobody decided in time; the device has to ask again', {
      code: 'approvalExpired',
    });
  }
  if (row.state !== 'pending') {
    throw new AuthorityError('conflict', `the enrollment is ${row.state} already`, { code: 'approvalDecided' });
  }
  await check(tx, row);
  const facts = {
    ...row,
    state,
    reason,
    decider: actor.id,
    deciderPerson: actor.personId,
    decidedAt: at,
    expiresAt: addSeconds(at, a.lifetimes.pendingEnrollment),
  };
  const decided = { ...facts, mac: pendingEnrollmentMac(a.macKey, facts) };
  await decidePendingEnrollment(tx, decided);
  await logStatus(tx, a, actor, at, [{ action, ...pendingAudit(decided) }], []);
  return decided;
}

const altered = (): AuthorityError =>
  new AuthorityError('conflict', 'the enrollment is not the one with this digest; nothing was done', {
    code: 'approvalAltered',
  });
