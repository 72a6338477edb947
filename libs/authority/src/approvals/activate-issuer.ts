import { AuthorityError } from '#kernel';
import { ocspDelegateName, type IssuerStatus } from '#status';
import { findPublished, latestStatuses, listIssuers, lockIssuers, type Tx } from '#store';
import { issuerAudit, issuerChange } from '../announce-issuer.js';
import type { AuthorityContext } from '../context.js';
import { sameTerms, type Issuer } from '../hierarchy.js';
import { notFound } from '../registry.js';
import type { Operation } from './operation.js';

export type IssuerActivation = Readonly<{ issuerId: string }>;

/** From its approval on this CA issues; the one that issued the same for the same until then is retired. */
export const activateIssuer: Operation<IssuerActivation> = {
  name: 'ca.activate',
  permission: 'issuer:change',
  subject: ({ issuerId }) => `issuer:${issuerId}`,

  async check(tx, a, _actor, { issuerId }) {
    const issuer = await requireIssuer(tx, a, issuerId);
    if (issuer.status !== 'retired') throw new AuthorityError('conflict', `the CA is ${issuer.status} already`);
    if (issuer.notAfter <= a.clock.now()) throw new AuthorityError('conflict', 'the CA has ended');
    // Without it nobody could learn the status of what the CA issues; its CRLs are published before it.
    if ((await findPublished(tx, ocspDelegateName(issuerId))) === undefined) {
      throw new AuthorityError('conflict', 'the worker has not published the status of this CA yet; try again soon', {
        code: 'issuerNotPublished',
      });
    }
  },

  async execute(tx, a, _actor, { issuerId }, { at }) {
    const issuer = await requireIssuer(tx, a, issuerId);
    const former = (await issuersNow(tx, a)).filter((one) => one.status === 'active' && replaces(issuer, one));
    const retires = former.map((one) => one.id).join(' ');
    return {
      audits: [issuerAudit(a, 'ca.activated', issuer, { name: issuer.name, retires })],
      changes: [...former.map((one) => issuerChange(one, 'retired', at)), issuerChange(issuer, 'active', at)],
      result: { issuerId, status: 'active' },
    };
  },
};

/** Of one kind, for the same; of roots and CAs in between only the one of the same name, whose key it follows. */
function replaces(issuer: Issuer, other: Issuer): boolean {
  if (issuer.kind !== other.kind) return false;
  return issuer.kind === 'issuing' ? sameTerms(issuer, other) : issuer.subjectDer.equals(other.subjectDer);
}

/** A CA that is known here, as the log says it is now; nobody changes one meanwhile. Throws `notFound`. */
export async function requireIssuer(tx: Tx, a: AuthorityContext, id: string): Promise<Issuer> {
  await lockIssuers(tx);
  const issuer = (await issuersNow(tx, a)).find((one) => one.id === id);
  if (issuer === undefined) throw notFound('issuer');
  return issuer;
}

/** The directory believes; the log in the transaction says what has changed since. */
async function issuersNow(tx: Tx, a: AuthorityContext): Promise<Issuer[]> {
  const known = await a.issuers.list();
  const ids = (await listIssuers(tx)).map((row) => row.id);
  const log = await latestStatuses(tx, 'issuer', ids);
  return known.map((one) => ({ ...one, status: (log.get(one.id)?.status ?? one.status) as IssuerStatus }));
}
