import { AuthorityError } from '#kernel';
import type { Role } from '#policy';
import { findBootstrapTokens, findPerson, isId, lockLogHead, type Tx } from '#store';
import { logStatus, statusChange } from './change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from './context.js';
import { notFound } from './registry.js';

/**
 * Takes a role from a person, at once and without a second person; tokens and sessions of the person lose it with the same
 * row of the log. Answers the roles that are left. Throws `conflict` (`lastAdmin`) where nobody could administer the
 * authority any more.
 */
export async function withdrawRole(a: AuthorityContext, actor: Actor, personId: string, role: Role): Promise<Role[]> {
  const seq = await a.database.transaction(
    async (tx) => {
      const person = isId(personId) ? await findPerson(tx, personId) : undefined;
      if (!person || (!actor.authority && person.organizationId !== actor.organizationId)) throw notFound('person');
      // Of two that withdraw at once, the second sees what the first did.
      const head = await lockLogHead(tx);
      await a.follower.catchUp(head.seq);
      if (a.follower.index.person(personId)?.roles.has(role) !== true) return head.seq;
      if (role === 'admin' && person.organizationId === a.authorityId) await requireOtherAdmin(tx, a, personId);
      const at = a.clock.now();
      const audit = {
        action: 'role.withdrawn' as const,
        subject: `person:${personId}`,
        ownerOrgId: person.organizationId,
        issuerOrgId: actor.organizationId,
        detail: { role },
      };
      const change = statusChange({ kind: 'role', subject: `${personId}:${role}`, status: 'withdrawn', at });
      return logStatus(tx, a, actor, at, [audit], [change]);
    },
    scopeOf(a, actor),
  );
  await a.follower.catchUp(seq);
  return [...(a.follower.index.person(personId)?.roles ?? [])];
}

/** Another active admin of the authority, or a bootstrap token that is good. Call it with the log locked and followed. */
async function requireOtherAdmin(tx: Tx, a: AuthorityContext, personId: string): Promise<void> {
  const { index } = a.follower;
  for (const one of index.people()) {
    const other = one.id !== personId && one.organizationId === a.authorityId;
    if (other && one.status === 'active' && one.roles.has('admin')) return;
  }
  const bootstrap = await findBootstrapTokens(tx);
  if (bootstrap.some((id) => index.token(id)?.status === 'active')) return;
  throw new AuthorityError('conflict', 'this is the last admin of the authority; make another one first', {
    code: 'lastAdmin',
  });
}
