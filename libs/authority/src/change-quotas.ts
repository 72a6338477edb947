import { appendAudit } from '#audit';
import { findOrganization, findQuotas, putQuotas, type QuotasRow, type Tx } from '#store';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { notFound } from './registry.js';

/** An organization's own quotas, null where the instance's hold. Throws `notFound` also for an organization that is not the actor's. */
export async function readQuotas(a: AuthorityContext, actor: Actor, organizationId: string): Promise<QuotasRow> {
  return a.database.transaction(
    async (tx) => {
      await requireOwn(tx, actor, organizationId);
      return findQuotas(tx, organizationId);
    },
    scopeOf(a, actor),
  );
}

/** Replaces both; every process goes by them within 5 s. */
export async function changeQuotas(
  a: AuthorityContext,
  actor: Actor,
  organizationId: string,
  quotas: QuotasRow,
): Promise<QuotasRow> {
  return a.database.transaction(
    async (tx) => {
      await requireOwn(tx, actor, organizationId);
      const before = await findQuotas(tx, organizationId);
      await putQuotas(tx, organizationId, quotas);
      await appendAudit(tx, {
        at: a.clock.now(),
        actor: actor.id,
        action: 'quota.changed',
        subject: `organization:${organizationId}`,
        outcome: 'success',
        requestId: actor.requestId,
        detail: { before: { ...before }, after: { ...quotas } },
        ownerOrgId: organizationId,
        issuerOrgId: actor.organizationId,
      });
      return quotas;
    },
    scopeOf(a, actor),
  );
}

/** Providers are seen by everybody, their quotas are not. */
async function requireOwn(tx: Tx, actor: Actor, organizationId: string): Promise<void> {
  const mine = actor.authority || actor.organizationId === organizationId;
  if (!mine || !(await findOrganization(tx, organizationId))) throw notFound('organization');
}
