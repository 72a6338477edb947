import { AuthorityError } from '#kernel';
import { canonicalHost } from '#policy';
import { findDomainClaims, findOrganization, isId, latestStatus, lockDomain, type DomainRow, type Tx } from '#store';
import type { AuthorityContext } from '../context.js';
import { writeClaim } from '../names/claim-domain.js';
import { byGrant, checkDomain, domainStatus, requireFree } from '../names/domain-standing.js';
import { ofMember } from '../names/of-member.js';
import { domainAudit, holdNow, lapsedClaims } from '../names/prove-domain.js';
import type { Operation } from './operation.js';

type Grant = Readonly<{ organizationId: string; name: string }>;

/** Two people of the authority say that a domain is an organization's, where DNS cannot tell. */
export const grantDomain: Operation<Grant> = {
  name: 'domain.grant',
  permission: 'domain:claim',
  subject: ({ organizationId, name }) => `domain:${organizationId}/${name}`,

  async check(tx, a, actor, { organizationId, name }) {
    if (!actor.authority) throw new AuthorityError('forbidden', 'only the authority grants domains');
    ofMember('name', () => canonicalHost(name));
    if (!isId(organizationId) || !(await findOrganization(tx, organizationId))) {
      throw new AuthorityError('invalid', 'organizationId: no such organization', { member: 'organizationId' });
    }
    await requireFree(a, name, organizationId);
    const claim = await findClaim(tx, a, { organizationId, name });
    const status = claim && domainStatus(a, claim.id);
    if (status === 'verified' || status === 'disabled') {
      throw new AuthorityError('conflict', `the domain is ${status}`, {
        code: status === 'disabled' ? 'domainDisabled' : 'domainClaimed',
      });
    }
  },

  async execute(tx, a, actor, grant, { approvalId, at }) {
    const row = (await findClaim(tx, a, grant)) ?? (await writeClaim(tx, a, grant));
    if (row === undefined) throw new AuthorityError('conflict', 'the domain was claimed just now; approve it again');
    await lockDomain(tx, row.id);
    if ((await latestStatus(tx, 'domain', row.id))?.status === 'disabled') {
      throw new AuthorityError('conflict', 'the domain was disabled just now', { code: 'domainDisabled' });
    }
    const by = byGrant(approvalId);
    const before = await lapsedClaims(a, row);
    return {
      audits: [domainAudit(row, actor, 'domain.verified', { by })],
      changes: await holdNow(tx, row, { by, at, before }),
      result: { domainId: row.id, name: row.name },
    };
  },
};

async function findClaim(tx: Tx, a: AuthorityContext, { organizationId, name }: Grant): Promise<DomainRow | undefined> {
  const row = (await findDomainClaims(tx, [name])).find((one) => one.organizationId === organizationId);
  if (row) checkDomain(a, row);
  return row;
}
