import { mintInvitation, sealVerifier, verifierHash } from '#credential';
import { addSeconds, AuthorityError } from '#kernel';
import { invitationRowMac, invitationSealContext } from '#status';
import { insertInvitation, withdrawInvitations, type Tx } from '#store';
import { appendAudit } from '#audit';
import { requireActivePerson } from '../approvals/grant-roles.js';
import type { StatusAudit } from '../change-status.js';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { auditingRefusal } from '../refusal.js';
import { canSignIn } from './sign-in-means.js';

export interface Invitation {
  id: string;
  /** The one-time code: shown once, stored nowhere. */
  text: string;
  expiresAt: Date;
  /** For whoever ends the transaction to write. */
  audit: StatusAudit;
}

/** A one-time code for this person; one sent before is worth nothing from now on. Throws `notFound`, `conflict` (removed). */
export async function createInvitation(
  tx: Tx,
  a: AuthorityContext,
  actor: Actor,
  personId: string,
): Promise<Invitation> {
  const { organizationId } = await requireActivePerson(tx, a, actor, personId);
  const now = a.clock.now();
  await withdrawInvitations(tx, personId, now);
  const code = mintInvitation();
  const row = { id: code.id, personId, organizationId, expiresAt: addSeconds(now, a.settings.access.invitation) };
  await insertInvitation(tx, {
    ...row,
    sealedVerifier: sealVerifier(a.pepper, verifierHash(code), invitationSealContext(row)),
    pepperVersion: a.pepper.version,
    mac: invitationRowMac(a.macKey, row, await hasAccess(tx, a, personId)),
  });
  const audit: StatusAudit = {
    action: 'person.invited',
    subject: `person:${personId}`,
    ownerOrgId: organizationId,
    issuerOrgId: actor.organizationId,
    detail: { invitation: row.id, expiresAt: row.expiresAt.toISOString() },
  };
  return { id: row.id, text: code.text, expiresAt: row.expiresAt, audit };
}

/**
 * Whether this person has a role, a passkey or an account at the issuer: what a new invitation would be a second key to.
 * Roles taken from an account come back with its next sign-in, without a second person.
 */
export async function hasAccess(tx: Tx, a: Pick<AuthorityContext, 'follower'>, personId: string): Promise<boolean> {
  const roles = a.follower.index.person(personId)?.roles.size ?? 0;
  return roles > 0 || (await canSignIn(tx, a, personId));
}

/**
 * Lets in somebody who has nothing yet. For whoever has access an invitation would be a second key to it,
 * made by one person: `conflict` (code `personHasAccess`), it takes two.
 */
export async function invitePerson(
  a: AuthorityContext,
  actor: Actor,
  personId: string,
): Promise<Omit<Invitation, 'audit'>> {
  const work = async (tx: Tx) => {
    await requireActivePerson(tx, a, actor, personId);
    if (await hasAccess(tx, a, personId)) {
      throw new AuthorityError('conflict', 'this person has access already; a new invitation needs a second person', {
        code: 'personHasAccess',
      });
    }
    const { audit, ...invitation } = await createInvitation(tx, a, actor, personId);
    const { id: by, requestId } = actor;
    await appendAudit(tx, { ...audit, at: a.clock.now(), actor: by, requestId, outcome: 'success' });
    return invitation;
  };
  return auditingRefusal(a, actor, 'person.invited', `person:${personId}`, () =>
    a.database.transaction(work, scopeOf(a, actor)),
  );
}
