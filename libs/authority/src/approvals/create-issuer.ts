import { AuthorityError } from '#kernel';
import { encodeName } from '#pki';
import { listIssuers, lockIssuers, type IssuerRow, type Tx } from '#store';
import { announceIssuer } from '../announce-issuer.js';
import { systemActor, type Actor, type AuthorityContext } from '../context.js';
import {
  caCreatedAudit,
  caSubject,
  findOwnIntents,
  prepareCa,
  recordCa,
  requesterOf,
  type PreparedCa,
} from '../create-ca.js';
import { finishIntent, signedForm } from '../issue.js';
import type { Operation } from './operation.js';

export type IssuerCreation = Readonly<{ issuerId: string; name: string }>;

/**
 * A new issuing CA under the root. Key and certificate come by the way of every certificate; when they are there, the CA
 * is announced as retired: it publishes its status and issues from its activation on.
 */
export const createIssuer: Operation<IssuerCreation> = {
  name: 'ca.create',
  permission: 'issuer:change',
  subject: ({ issuerId }) => `issuer:${issuerId}`,

  async check(tx, _a, _actor, { issuerId, name }) {
    await lockIssuers(tx);
    const rows = await listIssuers(tx);
    // Two CAs of one name could not be told apart in a path.
    const subject = encodeName(caSubject(name));
    const taken = rows.some((row) => row.id === issuerId || row.name === name || row.subjectDer.equals(subject));
    if (taken) throw new AuthorityError('conflict', 'name: there is a CA of this name already', { member: 'name' });
  },

  async prepare(a, { issuerId, name }): Promise<PreparedCa> {
    const parent = await a.issuers.root();
    return prepareCa(a, { id: issuerId, name, parent, statusUrl: parent.statusUrl });
  },

  async execute(tx, a, actor, { issuerId }, { prepared }) {
    const ca = prepared as PreparedCa;
    await recordCa(tx, a, actor, ca);
    return { audits: [caCreatedAudit(a, ca.row)], changes: [], result: { issuerId } };
  },

  async after(a, actor, { issuerId }) {
    try {
      const row = (await a.database.transaction(listIssuers)).find((one) => one.id === issuerId);
      if (row) await completeIssuer(a, actor, row);
    } catch (error) {
      a.log.warn({ err: error, issuer: issuerId }, 'the new CA is not certified yet; the worker goes on with it');
    }
  },
};

/**
 * Certifies and announces a CA that was recorded. Safe to call again, and by several at once. False for a row without an
 * intent of this authority, which stays what it is: nothing.
 */
async function completeIssuer(a: AuthorityContext, actor: Actor, row: IssuerRow): Promise<boolean> {
  const intents = await findOwnIntents(a, actor, row);
  const begun = intents.find((intent) => intent.requester === requesterOf(row) && intent.issuerId === row.parentId);
  if (begun === undefined) return false;
  const parent = await a.issuers.require(begun.issuerId);
  const certificate =
    begun.der === null ? await finishIntent(a, actor, begun, parent, null) : signedForm(begun, begun.der, parent);
  const seq = await announceIssuer(a, actor, { id: row.id, certificate, status: 'retired' });
  if (seq !== undefined) await a.follower.catchUp(seq);
  return seq !== undefined;
}

/** Certifies and announces every CA whose creation was cut off after its approval. Returns how many. */
export async function reconcileIssuers(a: AuthorityContext): Promise<number> {
  const rows = await a.database.transaction((tx: Tx) => listIssuers(tx));
  let completed = 0;
  for (const row of rows.filter((one) => one.kind === 'issuing' && one.certificate === null)) {
    try {
      if (await completeIssuer(a, systemActor(a, 'reconcile'), row)) completed++;
    } catch (error) {
      a.log.warn({ err: error, issuer: row.id }, 'a new CA is not certified yet, next try in a minute');
    }
  }
  return completed;
}
