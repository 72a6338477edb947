import type { TransactionOptions, Tx } from '#store';
import type { AuthorityContext } from '../context.js';

/** Who holds a name is asked of all organizations; what is answered tells of none but the caller's. */
const EVERY_ROW: TransactionOptions = {
  scope: { organizationId: '00000000-0000-0000-0000-000000000000', authority: true },
};

/** Reads beside the caller's own transaction, which may not see the rows of others. */
export const readEveryClaim = <T>(a: AuthorityContext, work: (tx: Tx) => Promise<T>): Promise<T> =>
  a.independent.transaction(work, EVERY_ROW);
