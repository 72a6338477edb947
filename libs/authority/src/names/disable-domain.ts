import { AuthorityError } from '#kernel';
import {
  countDevicesOfHolder,
  latestStatus,
  lockDomain,
  releaseDomain,
  type DomainRow,
  type StatusChange,
  type Tx,
} from '#store';
import { logStatus, receipt, statusChange, type Receipt } from '../change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { notFound } from '../registry.js';
import { checkDomain } from './domain-standing.js';
import { BY_AUTHORITY, domainAudit } from './prove-domain.js';

/** From so many devices on, disabling their domain takes two people. */
export const MASS_REVOCATION = 100;

/** Reasons for which a name ends: nothing is known of the keys, so none that would block them. */
const REASONS: readonly string[] = [
  'affiliationChanged',
  'cessationOfOperation',
  'superseded',
  'unspecified',
  BY_AUTHORITY,
];

/** Throws `invalid` for what is no reason, `forbidden` for the one that only the authority gives. */
export function checkNameReason(actor: Actor, reason: string): void {
  if (!REASONS.includes(reason)) {
    throw new AuthorityError('invalid', `reason: one of ${REASONS.join(', ')}`, { member: 'reason' });
  }
  if (reason === BY_AUTHORITY && !actor.authority) {
    throw new AuthorityError('forbidden', `reason: ${BY_AUTHORITY} is the authority's alone`, { member: 'reason' });
  }
}

/** How many devices would lose their certificates. */
export const countUnderDomain = (a: AuthorityContext, actor: Actor, id: string): Promise<number> =>
  a.database.transaction((tx) => countDevicesOfHolder(tx, id), scopeOf(a, actor));

/**
 * Ends a domain: nobody enrolls or renews with a name under it from the answer on, and the worker revokes every certificate
 * that has one (S25). Throws `conflict` (code `needsApproval`) where these are those of many devices.
 */
export async function disableDomain(a: AuthorityContext, actor: Actor, id: string, reason: string): Promise<Receipt> {
  checkNameReason(actor, reason);
  const result = await a.database.transaction(
    async (tx) => {
      const row = await requireEndable(tx, a, id);
      const latest = await latestStatus(tx, 'domain', id);
      if (latest?.status === 'disabled') return { seq: latest.seq, at: latest.at };
      const devices = await countDevicesOfHolder(tx, id);
      if (devices >= MASS_REVOCATION) {
        throw new AuthorityError('conflict', `${devices} devices have names under it; this takes two people`, {
          code: 'needsApproval',
        });
      }
      const at = a.clock.now();
      const change = await endNow(tx, row, reason, at);
      const audit = domainAudit(row, actor, 'domain.disabled', { reason, devices });
      return { at, seq: await logStatus(tx, a, actor, at, [audit], [change]) };
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(result.seq);
  return receipt('domain', id, 'disabled', result.seq, result.at);
}

/** Locked until the transaction ends. */
export async function requireEndable(tx: Tx, a: AuthorityContext, id: string): Promise<DomainRow> {
  const row = await lockDomain(tx, id);
  if (!row) throw notFound('domain');
  checkDomain(a, row);
  return row;
}

export async function endNow(tx: Tx, row: DomainRow, reason: string, at: Date): Promise<StatusChange> {
  await releaseDomain(tx, row.id);
  return statusChange({ kind: 'domain', subject: row.id, status: 'disabled', reason, at });
}
