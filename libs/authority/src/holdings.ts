import { AuthorityError } from '#kernel';
import { countHoldings, type Holding, type Tx } from '#store';

/** Far above what anybody needs: every process keeps people and tokens in memory, so one organization must not fill it. */
export const HOLDING_LIMITS: Readonly<Record<Holding, number>> = {
  people: 10_000,
  tokens: 10_000,
  proposals: 1000,
  domains: 1000,
  users: 100_000,
  enrollments: 1000,
};

/** Throws `conflict`, code `tooMany`, where the organization has as many as it may. A few at the same time may pass. */
export async function requireRoomFor(tx: Tx, organizationId: string, one: Holding): Promise<void> {
  const limit = HOLDING_LIMITS[one];
  if ((await countHoldings(tx, organizationId, one)) < limit) return;
  throw new AuthorityError('conflict', `the organization has ${limit} ${one}; end some before making another`, {
    code: 'tooMany',
  });
}
