import type { KeyType } from '#pki';
import { lockIssuers, type IssuerRow } from '#store';
import { issuerAudit } from '../announce-issuer.js';
import { completeNow } from '../complete-ca.js';
import {
  caCreatedAudit,
  caSubject,
  insertCa,
  makeCaKey,
  prepareCa,
  recordCa,
  type CaPlan,
  type PreparedCa,
} from '../prepare-ca.js';
import { requestedChange } from '../requested-ca.js';
import { checkPlan, checkTerms, findParent, requireCertifier, requireFreeName, type CaWish } from './check-plan.js';
import type { Operation } from './operation.js';

export type IssuerCreation = CaWish & Readonly<{ issuerId: string }>;

/** Its key made and its certificate linted; or only its key, which waits for a certificate from elsewhere. */
type Prepared = PreparedCa | { row: IssuerRow; intent: undefined };

/**
 * A new root, a CA in between or an issuing CA. Key and certificate come by the way of every certificate; when they are
 * there, the CA is announced as retired: it publishes its status and issues from its activation on. With `external` only
 * the key is made: its certificate comes in by `ca.import`.
 */
export const createIssuer: Operation<IssuerCreation> = {
  name: 'ca.create',
  permission: 'issuer:change',
  subject: ({ issuerId }) => `issuer:${issuerId}`,

  async check(tx, a, _actor, wish) {
    await lockIssuers(tx);
    await requireFreeName(tx, wish.issuerId, wish);
    const parent = await findParent(a, wish);
    if (parent !== undefined) requireCertifier(a, parent);
    checkPlan(a, wish, parent);
    await checkTerms(tx, a, wish);
  },

  async prepare(a, wish): Promise<Prepared> {
    const parent = await findParent(a, wish);
    const plan = planOf(wish, (parent ?? (await a.issuers.root())).statusUrl);
    if (wish.external !== true) return prepareCa(a, plan, parent);
    return { row: await makeCaKey(a, plan, undefined), intent: undefined };
  },

  async execute(tx, a, actor, { issuerId }, { prepared, at }) {
    const ca = prepared as Prepared;
    if (ca.intent !== undefined) {
      await recordCa(tx, a, actor, ca);
      return { audits: [caCreatedAudit(a, ca.row)], changes: [], result: { issuerId } };
    }
    await insertCa(tx, actor, ca.row);
    const { name, kind } = ca.row;
    return {
      audits: [issuerAudit(a, 'ca.requested', ca.row, { kind, name })],
      changes: [requestedChange(ca.row, at)],
      result: { issuerId, status: 'requested' },
    };
  },

  async after(a, actor, { issuerId }) {
    await completeNow(a, actor, [issuerId]);
  },
};

function planOf(wish: IssuerCreation, statusUrl: string): CaPlan {
  const { issuerId, name, kind, subject, keyType, pathLen, nameConstraints, validitySeconds } = wish;
  const { organizationId, profiles } = wish;
  return {
    ...{ id: issuerId, name, kind, statusUrl, pathLen, nameConstraints, validitySeconds },
    subject: caSubject(name, subject),
    keyType: keyType as KeyType | undefined,
    location: wish.location,
    terms: { ...(organizationId && { organizationId }), ...(profiles && { profiles }) },
  };
}
