import { appendAudit } from '#audit';
import { AuthorityError } from '#kernel';
import { canonicalHost } from '#policy';
import { domainRowMac } from '#status';
import { findOrganization, insertDomain, isId, newId, type DomainRow, type Tx } from '#store';
import { scopeOf, type Actor, type AuthorityContext } from '../context.js';
import { requireRoomFor } from '../holdings.js';
import { auditingRefusal } from '../refusal.js';
import { requireFree } from './domain-standing.js';
import { ofMember } from './of-member.js';

/**
 * An organization says that a domain is its own. That gives nothing before it is proved, and keeps nobody else from proving
 * it. Throws `conflict` where another organization holds it (`domainTaken`) or this one has claimed it before.
 */
export async function claimDomain(
  a: AuthorityContext,
  actor: Actor,
  request: { name: string; organizationId?: string | undefined },
): Promise<DomainRow> {
  const name = ofMember('name', () => canonicalHost(request.name));
  return auditingRefusal(a, actor, 'domain.claimed', `domain:${name}`, async () => {
    const organizationId = request.organizationId ?? actor.organizationId;
    await requireFree(a, name, organizationId);
    return a.database.transaction(
      async (tx) => {
        await requireOwn(tx, actor, organizationId);
        const row = await writeClaim(tx, a, { name, organizationId });
        if (row === undefined) {
          throw new AuthorityError('conflict', 'the organization has claimed this domain before', {
            member: 'name',
            code: 'domainClaimed',
          });
        }
        await appendAudit(tx, {
          at: a.clock.now(),
          actor: actor.id,
          action: 'domain.claimed',
          subject: `domain:${row.id}`,
          outcome: 'success',
          requestId: actor.requestId,
          detail: { name },
          ownerOrgId: organizationId,
          issuerOrgId: actor.organizationId,
        });
        return row;
      },
      scopeOf(a, actor),
    );
  });
}

/** undefined: there is that claim. */
export async function writeClaim(
  tx: Tx,
  a: Pick<AuthorityContext, 'clock' | 'macKey'>,
  claim: { name: string; organizationId: string },
): Promise<DomainRow | undefined> {
  await requireRoomFor(tx, claim.organizationId, 'domains');
  const row = { id: newId(a.clock), ...claim };
  return insertDomain(tx, { ...row, mac: domainRowMac(a.macKey, row) });
}

async function requireOwn(tx: Tx, actor: Actor, id: string): Promise<void> {
  if (id === actor.organizationId) return;
  const found = actor.authority && isId(id) ? await findOrganization(tx, id) : undefined;
  if (found) return;
  throw new AuthorityError('invalid', 'organizationId: no such organization', { member: 'organizationId' });
}
