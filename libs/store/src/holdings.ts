import type { Tx } from './database.js';

export type Holding = 'people' | 'tokens' | 'proposals' | 'domains' | 'users' | 'enrollments';

const COUNT: Readonly<Record<Holding, string>> = {
  people: `select count(*)::int as count from people where organization_id = $1`,
  tokens: `select count(*)::int as count from operator_tokens
    where organization_id = $1 and kind in ('machine', 'personal') and (expires_at is null or expires_at > now())`,
  proposals: `select count(*)::int as count from approvals
    where organization_id = $1 and state = 'proposed' and expires_at > now()`,
  domains: `select count(*)::int as count from domains where organization_id = $1`,
  users: `select count(*)::int as count from name_users where organization_id = $1`,
  enrollments: `select count(*)::int as count from pending_enrollments
    where owner_org_id = $1 and state in ('pending', 'approved')`,
};

/**
 * How many an organization has: people, domains and users ever made, tokens that have not ended, proposals that are open,
 * enrollments that wait.
 */
export async function countHoldings(tx: Tx, organizationId: string, of: Holding): Promise<number> {
  const [row] = await tx.rows<{ count: number }>(COUNT[of], [organizationId]);
  return row?.count ?? 0;
}
