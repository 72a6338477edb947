import type { IntentRow } from '#store';
import type { Actor, AuthorityContext } from './context.js';

/** What every audit entry about an intent has in common. */
export function intentAudit(a: Pick<AuthorityContext, 'clock'>, actor: Actor, row: Omit<IntentRow, 'tbs' | 'mac'>) {
  return {
    at: a.clock.now(),
    actor: actor.id,
    subject: `certificate:${row.serial.toString('hex')}`,
    outcome: 'success' as const,
    requestId: actor.requestId,
    ownerOrgId: row.ownerOrgId,
    issuerOrgId: row.issuerOrgId,
  };
}
