import { appendAudit, type AuditAction } from '#audit';
import { isAuthorityError, type AuthorityError } from '#kernel';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';

/**
 * Records that somebody tried to obtain something and was refused, in a transaction of its own: the refused one is gone.
 * Never throws: the caller has its own answer to give.
 */
export async function auditRefusal(
  a: AuthorityContext,
  actor: Actor,
  refused: {
    action: AuditAction;
    subject: string;
    error: AuthorityError;
    detail: Readonly<Record<string, string | null>>;
  },
): Promise<void> {
  await a.independent
    .transaction(
      (tx) =>
        appendAudit(tx, {
          at: a.clock.now(),
          actor: actor.id,
          action: refused.action,
          subject: refused.subject,
          outcome: 'refused',
          requestId: actor.requestId,
          detail: { ...refused.detail, kind: refused.error.kind, reason: refused.error.detail },
          issuerOrgId: actor.organizationId,
        }),
      scopeOf(a, actor),
    )
    .catch((cause: unknown) => a.log.error({ err: cause }, 'a refusal could not be audited'));
}

/** A refused request for something leaves an entry. Never hides the refusal itself; what was merely unavailable, or over a limit, is none. */
export async function auditingRefusal<T>(
  a: AuthorityContext,
  actor: Actor,
  action: AuditAction,
  subject: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isAuthorityError(error) && error.kind !== 'unavailable' && error.kind !== 'limited') {
      await auditRefusal(a, actor, { action, subject, error, detail: {} });
    }
    throw error;
  }
}
